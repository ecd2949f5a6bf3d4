"""Where a server listens, and its life from the reserved address to the last answer."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Final

from kratos.address import Address
from kratos.errors import ConfigError, StartupError
from kratos.health import Health, Phase, Status
from kratos.limit import cancel_and_wait
from kratos.registry.endpoint import advertised_address, make_endpoint
from kratos.tls import Rotation, ServerTls, server_context
from kratos.transport import Dispatcher, Mount
from kratos.transport.cause import Cause
from kratos.transport.listening import SocketFile, listen, reserve
from kratos_http._accepting import Acceptor
from kratos_http.engine import Engine
from kratos_http.rest import Place

__all__ = ["Listening"]

_NAMES: Final = {"http": "HTTP", "grpc": "gRPC"}  # by scheme
_LOGS: Final = {each: logging.getLogger(f"kratos.{each}") for each in _NAMES}


class Listening:
    """The socket of one server; its methods are those of ``HttpServer``.

    Args:
        address: Where to listen.
        engine: What connections are given to.
        place: Learns the endpoint when it is bound.
        endpoint: URL for the registry, in place of one made of the address.
        tls: Serve TLS with these certificates, or this context.
        sock: A bound socket, in place of the address.
        cancel_grace: Seconds that cancelled calls get to clean up.
        schemes: Of the endpoints, by which clients choose their transport; the first is of the one
            that was given, or that calls know.
        share_port: Whether other processes that say the same may listen on the port, too.

    Attributes:
        dispatcher: Whose calls are waited for when it stops; ``None`` before there is one.
        aside: Those whose calls are cancelled at once when it stops.
    """

    def __init__(
        self,
        address: Address,
        *,
        engine: Engine,
        place: Place,
        endpoint: str | None,
        tls: ServerTls | ssl.SSLContext | None,
        sock: socket.socket | None,
        cancel_grace: float,
        schemes: Sequence[str] = ("http",),
        share_port: bool = False,
    ) -> None:
        self.dispatcher: Dispatcher | None = None
        self.aside: Sequence[Dispatcher] = ()
        self._health: Health | None = None  # of the application
        self._address = address
        self._engine = engine
        self._place = place
        self._endpoints = [endpoint] if endpoint else []
        self._tls = _checked(tls)
        self._rotation: Rotation[ssl.SSLContext] | None = None
        self._sock = sock
        self._cancel_grace = cancel_grace
        self._schemes = schemes
        self._share_port = share_port
        self._bound_here = False
        self._shared = False
        self._serving = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._acceptor: Acceptor | None = None
        self._file: SocketFile | None = None

    @property
    def address(self) -> Address | None:
        """Where it is to listen; ``None`` for a socket that it was given."""
        return None if self._sock is not None and not self._shared else self._address

    def mount(self, mount: Mount) -> None:
        """Take what the application has: health, and a meter for what peers should not do."""
        self._health = mount.health
        if mount.metrics is not None:
            self._engine.count_offences(mount.metrics, kind=self._schemes[0])

    def share(self, sock: socket.socket) -> None:
        """Serve on a socket that other processes have, too."""
        self._sock = sock
        self._bound_here = self._shared = True

    async def bind(self) -> Sequence[str]:
        """Reserve the address and return the endpoints' URLs.

        Raises:
            StartupError: The address is in use or does not exist here; names it.
            ConfigError: A certificate cannot be used; names it and says why.
        """
        if isinstance(self._tls, ServerTls) and self._rotation is None:
            self._rotation = Rotation(self._tls, partial(server_context, alpn=self._engine.alpn))
        if self._sock is None:
            self._sock = await reserve(self._address, shared=self._share_port)
            self._bound_here = True
            self._file = SocketFile(self._address.path)
        if not self._endpoints and self._sock.family != socket.AF_UNIX:
            host, port, *_ = self._sock.getsockname()
            where = advertised_address(self._address.host if self._bound_here else host, port)
            secure = self._tls is not None
            self._endpoints = [make_endpoint(each, where, secure=secure) for each in self._schemes]
        self._place.endpoint = self._endpoints[0] if self._endpoints else str(self._address)
        return tuple(self._endpoints)

    async def start(self, lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Serve within the lifespan of what is mounted, until ``stop`` has ended.

        Raises:
            StartupError: The address cannot be had, or a mounted application does not start.
        """
        await self.bind()
        try:
            async with lifespan():
                if not self._stopping.is_set():
                    await self._serve()
        except StartupError:
            self._close_listener()
            raise

    async def ready(self) -> None:
        """Return when connections are accepted."""
        await self._serving.wait()

    async def stop(self) -> None:
        """Accept nothing more, answer what is in flight, then let ``start`` return."""
        if self._stopped.is_set():
            return
        self._stopping.set()
        acceptor = self._acceptor
        self._close_listener()
        for dispatcher in self.aside:
            dispatcher.draining = True
            dispatcher.cancel(Cause.DRAINING)
        try:
            if acceptor is not None:
                await acceptor.wait_closed()
            await self._engine.drain()
            if self.dispatcher is not None:
                await self.dispatcher.drain()
        except asyncio.CancelledError:
            if self.dispatcher is not None:
                self.dispatcher.draining = True
                self.dispatcher.cancel(Cause.DRAINING)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._cancel_grace):
                    await self._engine.drain()
            raise
        finally:
            self._stopped.set()

    async def _serve(self) -> None:
        assert self._sock is not None, "bound before"
        self._engine.start()
        forget = self._watch_health()
        watching = asyncio.create_task(self._watch_certificates(), name="kratos-http-tls")
        try:
            self._acceptor = self._listen(self._sock)
            self._serving.set()
            served = self._schemes[0]
            _LOGS[served].info("serving %s on %s", _NAMES[served], self._place.endpoint)
            await self._stopped.wait()
        finally:
            forget()
            self._close_listener()
            await cancel_and_wait(watching)
            await self._engine.aclose(grace=self._cancel_grace)

    async def _watch_certificates(self) -> None:
        if self._rotation is not None:
            await self._rotation.watch()

    def _watch_health(self) -> Callable[[], None]:
        """Send peers elsewhere, one answer later, as soon as the application is to stop.

        So a connection that is in use is not closed under a request that is on its way.
        """
        health = self._health
        if health is None:
            return lambda: None

        def listen(_status: Status | None) -> None:
            self._engine.send_away(away=health.phase is Phase.STOPPING)

        return health.subscribe("", listen)

    def _listen(self, sock: socket.socket) -> Acceptor:
        listen(sock, self._address)
        tls, rotation = self._tls, self._rotation
        context: Callable[[], ssl.SSLContext] | None = None
        if isinstance(tls, ssl.SSLContext):
            context = lambda: tls  # noqa: E731
        elif rotation is not None:
            context = _newest(rotation, many=isinstance(tls, ServerTls) and bool(tls.others))
        acceptor = Acceptor(sock, self._engine, tls=context)
        acceptor.start()
        return acceptor

    def _close_listener(self) -> None:
        """Stop listening; without ``start``, release the reserved address."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            acceptor.close()
        elif self._sock is not None and not self._serving.is_set():
            self._sock.close()
        if self._file is not None:
            self._file.remove()


def _newest(rotation: Rotation[ssl.SSLContext], *, many: bool) -> Callable[[], ssl.SSLContext]:
    """Return what looks for changed files: a change may not have been heard of yet.

    With many certificates it does not look for each connection, for which it would look at all.
    """
    return rotation.current if many else rotation.refresh


def _checked(tls: object) -> ServerTls | ssl.SSLContext | None:
    if tls is not None and not isinstance(tls, ServerTls | ssl.SSLContext):
        raise ConfigError(f"tls must be a kratos.tls.ServerTls or an ssl.SSLContext, not {tls!r}")
    return tls
