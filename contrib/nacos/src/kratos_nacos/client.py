"""A client of Nacos: where it is, who asks, and the connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from kratos.address import endpoints_of, join_host_port, split_host_port
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.limit import shielded
from kratos.options import require_number
from kratos.tls import ClientTls, client_tls_of
from kratos.url import Options, Url
from kratos_nacos.dialling import Dialler
from kratos_nacos.link import Link
from kratos_nacos.login import Tokens
from kratos_nacos.wire import UNREACHABLE, NacosUnavailable

__all__ = ["NacosClient", "client_of"]

_PORT: Final = 8848
_OFFSET: Final = 1000
_TIMEOUT: Final = 3.0
_CLEANUP: Final = 1.0
_PUBLIC: Final = "public"


class NacosClient:
    """Knows the way to Nacos, from version 2 on; one event loop per object; connects when used.

    Each registration has a connection of its own, as it lives and dies with it; all that is
    watched in the registry shares one.

    Args:
        endpoints: ``host:port`` of the servers, the port of HTTP, 8848 if it is left out. They
            are tried in turn, beginning with the one that answered last.
        namespace: Id of the namespace; empty for the public one.
        username: Of a user of Nacos; ``None`` where authentication is off.
        password: Of that user.
        tls: What makes the connections TLS, that of the login, too; its files may change.
        timeout: Seconds for one endpoint to answer.
        grpc_offset: What has to be added to a port to get the one of gRPC.
        clock: Time between heartbeats, and of the age of tokens.

    Attributes:
        tokens: Those of the user; ``None`` without one.

    Raises:
        ConfigError: An argument, or a file of ``tls``, cannot be used.
    """

    def __init__(
        self,
        endpoints: Sequence[str] = (f"127.0.0.1:{_PORT}",),
        *,
        namespace: str = "",
        username: str | None = None,
        password: str | None = None,
        tls: ClientTls | None = None,
        timeout: float = _TIMEOUT,
        grpc_offset: int = _OFFSET,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        require_number("timeout", timeout, above=0, finite=True)
        if (username is None) is not (password is None) or username == "":
            raise ConfigError(
                "a user of Nacos has a username and a password: give both, or neither"
            )
        self._endpoints = endpoints_of(endpoints, port=_PORT)
        self._grpc = tuple(_shifted(endpoint, grpc_offset) for endpoint in self._endpoints)
        self._namespace = "" if namespace == _PUBLIC else namespace
        self._secure = tls is not None
        self._dialler = Dialler(tls, timeout=timeout)
        self._timeout = timeout
        self._clock = clock
        self.tokens: Tokens | None = None
        if username is not None and password is not None:
            self.tokens = Tokens(
                self._endpoints,
                username=username,
                password=password,
                tls=self._dialler.context,
                server_name=None if tls is None else tls.server_name,
                timeout=timeout,
                clock=clock,
            )
        self._at = 0
        self._links: set[Link] = set()
        self._shared: Link | None = None
        self._sharing = asyncio.Lock()
        self._closed = False

    def __str__(self) -> str:
        namespace = f"/{self._namespace}" if self._namespace else ""
        return f"nacos{'s' if self._secure else ''}://{','.join(self._endpoints)}{namespace}"

    def __repr__(self) -> str:
        return f"NacosClient({str(self)!r})"

    @property
    def naming_namespace(self) -> str:
        """The namespace as the registry of Nacos calls it."""
        return self._namespace or _PUBLIC

    @property
    def config_namespace(self) -> str:
        """The namespace as the configuration of Nacos calls it."""
        return self._namespace

    async def connect(self, module: str, /) -> Link:
        """Return a new connection to the first endpoint that answers; the caller closes it.

        Args:
            module: ``naming`` or ``config``: what it is for.

        Raises:
            NacosUnavailable: No endpoint answered, or the user was refused.

        Cancellation: leaves nothing open.
        """
        for _ in self._endpoints[1:]:
            try:
                return await self._connect(module)
            except NacosUnavailable as error:
                if error.code != UNREACHABLE:
                    raise
        return await self._connect(module)

    async def shared(self) -> Link:
        """Return the connection that those who watch the registry share, and must not close.

        Raises:
            NacosUnavailable: As ``connect``.

        Cancellation: safe.
        """
        async with self._sharing:
            if self._shared is None or self._shared.over:
                if self._shared is not None:
                    await self._shared.aclose()
                self._shared = await self.connect("naming")
            return self._shared

    async def aclose(self) -> None:
        """Close the connections, and end what is under way; idempotent."""
        self._closed = True
        self._shared = None
        await asyncio.gather(*(link.aclose() for link in list(self._links)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _connect(self, module: str) -> Link:
        if self._closed:
            raise NacosUnavailable(f"{self}: the client is closed")
        at = self._at
        link = Link(
            self._dialler.channel(self._grpc[at]),
            endpoint=self._grpc[at],
            tokens=self.tokens,
            timeout=self._timeout,
            clock=self._clock,
            gone=self._links.discard,
        )
        self._links.add(link)
        try:
            await link.open(module=module, namespace=self._namespace)
        except BaseException as error:
            if isinstance(error, NacosUnavailable) and error.code == UNREACHABLE and self._at == at:
                self._at = (at + 1) % len(self._endpoints)
            with suppress(TimeoutError):  # it ends by itself, and this is not what went wrong
                await shielded(link.aclose(), clock=SYSTEM_CLOCK, timeout=_CLEANUP)
            raise
        return link


def client_of(url: Url, options: Options) -> NacosClient:
    """Make the client of ``nacos://[user:password@]host[:port][,...][/namespace]``.

    With the scheme ``nacoss`` it uses TLS, and the options ``ca``, ``certificate`` and ``key`` name
    PEM files.

    Raises:
        ConfigError: The URL cannot be used.
    """
    timeout = options.duration("timeout", default=_TIMEOUT)
    offset = options.integer("grpc_offset", default=_OFFSET)
    tls = client_tls_of(url, options, scheme="nacoss")
    if not url.hosts:
        raise ConfigError(f"{url}: write nacos://host:port, with at least one host")
    return NacosClient(
        url.addresses(_PORT),
        namespace=url.path.strip("/"),
        username=url.username,
        password=url.password,
        tls=tls,
        timeout=timeout,
        grpc_offset=offset,
    )


def _shifted(endpoint: str, offset: int) -> str:
    host, port = split_host_port(endpoint)
    if not 0 < port + offset <= 65535:
        raise ConfigError(f"grpc_offset={offset} makes {port + offset} of {endpoint}: no port")
    return join_host_port(host, port + offset)
