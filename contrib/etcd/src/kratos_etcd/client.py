"""A client of etcd: the few calls that a registry and configuration need, at any endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from kratos.address import endpoints_of
from kratos.errors import ConfigError
from kratos.limit import is_cancelled_from_outside
from kratos.options import require_number
from kratos.tls import ClientTls, client_tls_of
from kratos.url import Options, Url
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.lines import Line, Lines, Metadata
from kratos_etcd.rpc import (
    AUTHENTICATE,
    UNREACHABLE,
    WATCH,
    EtcdUnavailable,
    Rpc,
    has_no_users,
    has_old_token,
    unavailable,
)
from kratos_etcd.stream import Stream, Watch, next_of

__all__ = ["EtcdClient", "client_of"]

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)
T = TypeVar("T")

_PORT: Final = 2379
_TIMEOUT: Final = 3.0

# A member that lost its leader ends a watch instead of keeping it silent.
_LEADER: Final = (("hasleader", "true"),)


class _Lines(Protocol):
    def to(self, endpoint: str, /) -> Line: ...
    async def aclose(self) -> None: ...


class EtcdClient:
    """Asks a cluster of etcd; one event loop per object. Nothing is connected before its first use.

    It asks one endpoint, and moves on to the next when that does not answer, until all were asked
    once. Loops are the business of who calls it.

    Args:
        endpoints: ``host:port`` of the members; the port is 2379 if it is left out.
        username: Of a user of etcd; ``None`` where authentication is off, or by certificate.
        password: Of that user.
        tls: What makes the connections TLS. Its files are read here, and for new connections again
            when they have changed; while they are no good, the last good ones stay in use.
        timeout: Seconds for one endpoint to answer; lists of many megabytes may need more.

    Raises:
        ConfigError: An argument, or a file of ``tls``, cannot be used.
    """

    def __init__(
        self,
        endpoints: Sequence[str] = (f"127.0.0.1:{_PORT}",),
        *,
        username: str | None = None,
        password: str | None = None,
        tls: ClientTls | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._endpoints = endpoints_of(endpoints, port=_PORT)
        if (username is None) is not (password is None) or username == "":
            raise ConfigError("a user of etcd has a username and a password: give both, or neither")
        require_number("timeout", timeout, above=0, finite=True)
        self._username = username
        self._password = password
        self._secure = tls is not None
        self._lines: _Lines = Lines(tls, timeout=timeout)
        self._timeout = timeout
        self._at = 0
        self._token = ""
        self._authenticating = asyncio.Lock()
        self._closed = False

    @classmethod
    def over(cls, endpoint: str, lines: _Lines, /) -> Self:
        """Return a client whose one endpoint is reached over lines of another kind."""
        made = cls()
        made._endpoints = (endpoint,)
        made._lines = lines
        return made

    def __str__(self) -> str:
        return f"etcd{'s' if self._secure else ''}://{','.join(self._endpoints)}"

    def __repr__(self) -> str:
        return f"EtcdClient({str(self)!r})"

    async def ask(self, rpc: Rpc[Q, R], request: Q, /) -> R:
        """Return the answer of the first endpoint that gives one.

        A call whose answer got lost is made again elsewhere, so it must be one that may be.

        Raises:
            EtcdUnavailable: No endpoint answered, or one refused.

        Cancellation: safe; what was asked may have been done.
        """

        async def once(endpoint: str, metadata: Metadata) -> R:
            return await self._once(rpc, request, endpoint, metadata)

        for _ in self._endpoints[1:]:
            try:
                return await self._try(once)
            except EtcdUnavailable as error:
                if error.code not in UNREACHABLE:
                    raise
        return await self._try(once)

    async def watch(self, key: bytes, *, end: bytes = b"", since: int) -> Watch:
        """Open a watch of a key, or of those before ``end``; who opens it closes it.

        Args:
            key: The first key.
            end: Behind the last key; empty for the one key.
            since: The revision behind which changes are told.

        Raises:
            EtcdUnavailable: The present endpoint does not answer, or refuses; the next call asks
                another one.

        Cancellation: leaves nothing open.
        """
        create = pb.WatchCreate(
            key=key, range_end=end, start_revision=since + 1, progress_notify=True
        )
        request = pb.WatchRequest(create_request=create)

        async def once(endpoint: str, metadata: Metadata) -> Watch:
            call, first = await self._begin(WATCH, request, endpoint, (*metadata, *_LEADER))
            return Watch(
                call,
                first,
                endpoint=endpoint,
                telling=lambda: self._telling(WATCH.path, endpoint),
                refused=self._forget_token,
            )

        return await self._try(once)

    async def aclose(self) -> None:
        """Close the connections, and end what is under way; idempotent."""
        self._closed = True
        await self._lines.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _try(self, once: Callable[[str, Metadata], Awaitable[T]]) -> T:
        """Make a call at the present endpoint, with a token that is good if there is a user."""
        at = self._at
        try:
            token = await self._authenticated(at, instead_of="")
            try:
                return await once(self._endpoints[at], _metadata(token))
            except EtcdUnavailable as error:
                if not token or not has_old_token(error):
                    raise
            token = await self._authenticated(at, instead_of=token)
            return await once(self._endpoints[at], _metadata(token))
        except EtcdUnavailable as error:
            if error.code in UNREACHABLE and self._at == at:
                self._at = (at + 1) % len(self._endpoints)
            raise

    async def _authenticated(self, at: int, *, instead_of: str) -> str:
        """Return a token; those who need one at the same time get the same."""
        if self._username is None or self._password is None:
            return ""
        async with self._authenticating:
            if self._token == instead_of:
                request = pb.AuthenticateRequest(name=self._username, password=self._password)
                try:
                    reply = await self._once(AUTHENTICATE, request, self._endpoints[at], ())
                except EtcdUnavailable as error:
                    if not has_no_users(error):
                        raise
                    return ""  # anybody may do anything there, so this user too
                self._token = reply.token
            return self._token

    def _forget_token(self) -> None:
        # Some servers call a watch not permitted whose token they do not know.
        self._token = ""

    async def _once(self, rpc: Rpc[Q, R], request: Q, endpoint: str, metadata: Metadata) -> R:
        line = self._line(endpoint)
        async with self._telling(rpc.path, endpoint):
            return await line.ask(rpc, request, timeout=self._timeout, metadata=metadata)

    async def _begin(
        self, rpc: Rpc[Q, R], request: Q, endpoint: str, metadata: Metadata
    ) -> tuple[Stream[R], R]:
        """Open a stream, and return it with the answer to its first request."""
        line = self._line(endpoint)
        async with self._telling(rpc.path, endpoint), asyncio.timeout(self._timeout):
            call = await line.open(rpc, request, metadata=metadata)
            try:
                return call, await next_of(call)
            except BaseException:
                call.cancel()
                raise

    @asynccontextmanager
    async def _telling(self, path: str, endpoint: str) -> AsyncGenerator[None]:
        """Let what gRPC raises be told in words."""

        def told(code: grpc.StatusCode, details: str) -> EtcdUnavailable:
            return unavailable(
                path, endpoint=endpoint, user=self._username, code=code, details=details
            )

        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise told(error.code(), error.details() or "") from error
        except TimeoutError as error:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            raise told(code, f"not within {self._timeout} s") from error
        except asyncio.CancelledError:
            if is_cancelled_from_outside():
                raise
            raise EtcdUnavailable(f"{self}: it was closed during a call") from None

    def _line(self, endpoint: str) -> Line:
        if self._closed:
            raise EtcdUnavailable(f"{self}: the client is closed")
        return self._lines.to(endpoint)


def client_of(url: Url, options: Options) -> EtcdClient:
    """Make the client that a URL describes: ``etcd://[user:password@]host[:port][,...]``.

    With the scheme ``etcds`` it uses TLS, and the options ``ca``, ``certificate`` and ``key`` name
    PEM files.

    Raises:
        ConfigError: The URL cannot be used.
    """
    timeout = options.duration("timeout", default=_TIMEOUT)
    if not url.hosts:
        raise ConfigError(f"{url}: write etcd://host:port, with at least one host")
    tls = client_tls_of(url, options, scheme="etcds")
    return EtcdClient(
        url.addresses(_PORT),
        username=url.username,
        password=url.password,
        tls=tls,
        timeout=timeout,
    )


def _metadata(token: str) -> Metadata:
    return (("token", token),) if token else ()
