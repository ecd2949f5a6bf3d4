"""The gRPC server (Go: transport/grpc, Server)."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from kratos.address import Address
from kratos.errors import ConfigError, StartupError
from kratos.middleware.selector import Matcher
from kratos.options import require_instance, require_number
from kratos.transport import Dispatcher, Mount
from kratos.transport.chain import listed
from kratos.transport.listening import place_of
from kratos.transport.naming import require_known
from kratos.transport.operation import CANCEL_GRACE, DEFAULT_TIMEOUT
from kratos.transport.wheel import time_limit
from kratos_grpc._codings import MINIMUM, coding_named
from kratos_grpc._rpc_protocol import BareGrpc
from kratos_grpc._services import serve_health, serve_reflection
from kratos_grpc._terms import Terms
from kratos_grpc.limits import Options, ServerLimits, pairs
from kratos_grpc.tls import ServerTls
from kratos_http.listening import Place
from kratos_http.protocols import Guards, HttpProtocol, Served, checked_protocols

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware
    from kratos_grpc._grpcio.engine import GrpcioEngine
    from kratos_grpc._kratos_engine import KratosEngine

__all__ = ["GrpcServer"]

_TRANSPORT: Final = "grpc"


class GrpcServer:
    """Serves all methods of services over gRPC.

    Two engines serve the same operations in the same chains. ``kratos`` is our HTTP/2, which takes
    further protocols on the port; ``grpcio`` is gRPC's own core, which takes several times as long.

    Args:
        address: ``:9000``, ``host:port``, ``[ipv6]:port`` or ``unix:/path``; port 0 lets the
            system choose.
        middleware: The chain, outermost first; it follows the application's.
        timeout: Seconds for a unary call; ``None`` or not positive for no limit. A caller's
            earlier deadline wins.
        timeouts: Seconds by operation name, streams included, in place of ``timeout``.
        floors: Seconds that operations take at least, by name: a call with less left is refused
            at once, with 504 ``BUDGET_TOO_SMALL``.
        endpoint: URL for the registry, in place of one made of the address.
        tls: Serve TLS with this certificate; several, its ``others``, need engine ``kratos``.
        limits: What peers may do.
        health: Whether to serve ``grpc.health.v1.Health`` from the application's table, without
            middleware, unless a service of that name is mounted.
        reflection: Whether to serve ``grpc.reflection``, v1 and v1alpha, which tells peers how
            all that is served is defined; within the middleware, so that what guards calls
            guards it, too.
        json: Whether requests in JSON are taken, too, as Go's ``CallContentSubtype("json")`` sends
            them, and answered in JSON.
        compression: Coding of replies of 1 KiB or more, for clients that read it: ``gzip`` or
            ``deflate``; empty for none. Compressed requests are read in any case.
        share_port: Whether other processes may listen on the port, too, each getting a part of
            the connections; both have to say so.
        socket_mode: Permissions of a Unix socket, for instance ``0o660``; ``None`` for what the
            process's umask leaves. Whoever may write to it may connect.
        engine: ``kratos`` or ``grpcio``.
        protocols: Further protocols on the port, ``GrpcWeb()`` or ``Connect()``; engine ``kratos``.
        options: Channel arguments of gRPC's core beyond these; engine ``grpcio``.
        cancel_grace: Seconds that cancelled calls get to clean up when stopping is cut short.

    Raises:
        TargetError: The address is none of these.
        ConfigError: ``socket_mode`` is no permission, there is no Unix socket, no such coding or
            engine, or the engine does not know an option or serves one certificate alone.
    """

    def __init__(
        self,
        address: str = ":0",
        *,
        middleware: Sequence[AnyMiddleware] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        timeouts: Mapping[str, float] | None = None,
        floors: Mapping[str, float] | None = None,
        endpoint: str | None = None,
        tls: ServerTls | None = None,
        limits: ServerLimits | None = None,
        health: bool = True,
        reflection: bool = True,
        json: bool = True,
        compression: str = "",
        share_port: bool = False,
        socket_mode: int | None = None,
        engine: Literal["kratos", "grpcio"] = "kratos",
        protocols: Sequence[HttpProtocol] = (),
        options: Options = (),
        cancel_grace: float = CANCEL_GRACE,
    ) -> None:
        require_instance("tls", tls, ServerTls)
        require_instance("limits", limits, ServerLimits)
        require_number("cancel_grace", cancel_grace, least=0)
        where = place_of(address, socket_mode=socket_mode)
        limits = limits or ServerLimits()
        self._middleware = listed(middleware)
        self._matcher = Matcher()
        self._timeout = time_limit(timeout)
        self._timeouts = timeouts
        self._floors = floors
        self._health = health
        self._reflection = reflection
        self._cancel_grace = cancel_grace
        self._dispatcher: Dispatcher | None = None
        coding = coding_named(compression)
        self._terms = Terms(
            place=Place(endpoint or ""),
            max_receive=limits.max_receive,
            max_send=limits.max_send,
            coding=coding,
            mutual=tls is not None and tls.client_ca is not None,
            plain_below=MINIMUM if coding else 0,
            json=json,
        )
        arguments, further = pairs(options), checked_protocols(protocols)
        if any(isinstance(each, BareGrpc) for each in further):
            raise ConfigError("Grpc() is for HttpServer: this serves gRPC by options of its own")
        self._engine: GrpcioEngine | KratosEngine
        if engine == "grpcio":
            if further:
                raise ConfigError("further protocols on the port need engine='kratos'")
            if tls is not None and tls.others:
                raise ConfigError("several certificates, others of tls, need engine='kratos'")
            from kratos_grpc._grpcio.engine import GrpcioEngine

            self._engine = GrpcioEngine(
                where,
                endpoint=endpoint,
                tls=tls,
                limits=limits,
                terms=self._terms,
                share_port=share_port,
                options=arguments,
                cancel_grace=cancel_grace,
            )
        elif engine == "kratos":
            if arguments:
                raise ConfigError("options are those of gRPC's core, which needs engine='grpcio'")
            from kratos_grpc._kratos_engine import KratosEngine

            self._engine = KratosEngine(
                where,
                endpoint=endpoint,
                tls=tls,
                limits=limits,
                terms=self._terms,
                share_port=share_port,
                protocols=(BareGrpc(self._terms), *further),
                cancel_grace=cancel_grace,
            )
        else:
            raise ConfigError(f"engine {engine!r} is none: it is 'kratos' or 'grpcio'")

    @property
    def address(self) -> Address | None:
        """Where it is to listen; ``None`` for a Unix socket that cannot be shared."""
        return self._engine.address

    @property
    def takes_socket(self) -> bool:
        """Whether it can listen on a socket that another process made: grpcio cannot."""
        return self._engine.takes_socket

    def share(self, place: socket.socket | Address, /) -> None:
        """Listen where other processes do, too; see ``Shareable``."""
        self._engine.share(place)

    def use(self, selector: str, middleware: Sequence[AnyMiddleware], /) -> None:
        """Put middleware around some operations, after the server's own (Go: ``Server.Use``).

        Args:
            selector: An operation, or with ``*`` at its end the beginning of some, such as
                ``/shop.v1.Orders/*``. The one that names an operation decides alone, else the
                longest beginning.
            middleware: The first outermost; in place of what the selector had. Streams pass it,
                too, which they do not in Go.

        Raises:
            ConfigError: The selector is like no operation, or the chains are linked already.
        """
        if self._dispatcher is not None:
            raise ConfigError("use(...) comes before the application starts")
        self._matcher.add(selector, middleware)

    def mount(self, mount: Mount, /) -> None:
        """Link the chains of all services; see ``Mountable``.

        Raises:
            StartupError: A service cannot be served, an option or a selector names an operation
                that is not, or there was a mount before.
            ConfigError: A floor is none, or more than its operation's time limit.
        """
        if self._dispatcher is not None:
            raise StartupError("a gRPC server takes the services of one application, once")
        middleware = (*mount.middleware, *self._middleware, self._matcher)
        dispatcher = self._dispatcher = Dispatcher(
            transport=_TRANSPORT,
            middleware=middleware,
            timeout=self._timeout,
            timeouts=self._timeouts,
            floors=self._floors,
            missing=mount.missing,
            cancel_grace=self._cancel_grace,
        )
        for service in mount.services:
            dispatcher.add(service)
        dispatcher.check_names()
        guards = Guards(_TRANSPORT, middleware, cancel_grace=self._cancel_grace)
        served = Served(
            mount=mount,
            operations=dict(dispatcher.operations),
            place=self._terms.place,
            guarded=guards,
        )
        if self._health:
            serve_health(served)
        if self._reflection:
            serve_reflection(served)
        self._engine.serve(served, dispatcher)
        # Of all that passes the selectors: a name that is misspelt would guard nothing.
        require_known("use(...)", self._matcher.selectors, dispatcher.names | guards.names)

    async def bind(self) -> Sequence[str]:
        """Reserve the address and return the endpoint's URL; see ``Endpointer``.

        Raises:
            StartupError: The address is in use or does not exist here; names it.
        """
        return await self._engine.bind()

    async def start(self) -> None:
        """Serve until ``stop`` has ended; see ``Server``.

        Raises:
            StartupError: The address cannot be had after all.
            ConfigError: A certificate cannot be used; names it and says why.

        Cancellation: cuts off every call and lets the cancellation pass.
        """
        await self._engine.start()

    async def ready(self) -> None:
        """Return when calls are accepted; see ``Readying``."""
        await self._engine.ready()

    async def stop(self) -> None:
        """Accept nothing more, answer what is in flight, then let ``start`` return.

        Clients are told at once and go elsewhere with their next calls. Watchers of health and
        peers that ask what is served do not hold up the stop.

        Cancellation: cancels what is in flight with ``Cause.DRAINING``, so that it is answered
        503, and cuts off whatever is left after ``cancel_grace``.
        """
        await self._engine.stop()
