"""The gRPC server, on grpc.aio (Go: transport/grpc, Server)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio

from kratos.address import Address
from kratos.errors import ConfigError, StartupError
from kratos.health import Health
from kratos.middleware.selector import Matcher
from kratos.registry.endpoint import advertised_address, make_endpoint
from kratos.transport import Cause, Dispatcher, Mount, Operation
from kratos.transport.chain import listed
from kratos.transport.listening import place_of
from kratos.transport.naming import require_known
from kratos.transport.operation import CANCEL_GRACE, DEFAULT_TIMEOUT
from kratos_grpc._acceptor import acceptor
from kratos_grpc._compression import MINIMUM, coding_of, server_options
from kratos_grpc._exchange import SingleReply, StreamedReplies, Terms, Unserved
from kratos_grpc._json import json_starts
from kratos_grpc._metadata import Metadata
from kratos_grpc._process import claim
from kratos_grpc._reservation import Reservation, reserve
from kratos_grpc.health import HEALTH_CHECK, HealthService
from kratos_grpc.limits import Options, ServerLimits
from kratos_grpc.reflection import reflection_services
from kratos_grpc.tls import ServerTls, server_credentials

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware

__all__ = ["GrpcServer"]

_log = logging.getLogger("kratos.grpc")

_TRANSPORT: Final = "grpc"
_FOR_EVER: Final = 365 * 86400.0  # seconds; None would mean at once


class GrpcServer:
    """Serves all methods of services over gRPC.

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
        tls: Serve TLS with this certificate.
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
        options: Channel arguments of gRPC's core beyond these.
        cancel_grace: Seconds that cancelled calls get to clean up when stopping is cut short.

    Raises:
        TargetError: The address is none of these.
        ConfigError: ``socket_mode`` is no permission, there is no Unix socket, or no such coding.
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
        options: Options = (),
        cancel_grace: float = CANCEL_GRACE,
    ) -> None:
        _require("tls", tls, ServerTls)
        _require("limits", limits, ServerLimits)
        self._address = place_of(address, socket_mode=socket_mode)
        self._middleware = listed(middleware)
        self._matcher = Matcher()
        self._timeout = timeout
        self._timeouts = timeouts
        self._floors = floors
        self._endpoint = endpoint
        self._tls = tls
        self._limits = limits or ServerLimits()
        self._health = health
        self._reflection = reflection
        self._json = json
        coding = coding_of(compression)
        self._compression = server_options(coding)
        self._app_health: Health | None = None
        self._share_port = share_port
        self._place: Address | None = None
        self._options = tuple(options)
        self._cancel_grace = cancel_grace
        self._terms = Terms(
            endpoint=endpoint or "",
            max_send=self._limits.max_send,
            mutual=tls is not None and tls.client_ca is not None,
            plain_below=MINIMUM if coding else 0,
        )
        self._dispatcher: Dispatcher | None = None
        self._probes = Dispatcher(transport=_TRANSPORT, timeout=None, cancel_grace=cancel_grace)
        self._aside = [self._probes]  # what does not hold up a stop
        self._reservation: Reservation | None = None
        self._server: grpc.aio.Server | None = None
        self._serving = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def address(self) -> Address | None:
        """Where it is to listen; ``None`` for a Unix socket, which gRPC cannot share."""
        return None if self._address.path else self._address

    @property
    def takes_socket(self) -> bool:
        """Whether it can listen on a socket that another process made: gRPC cannot."""
        return False

    def share(self, place: socket.socket | Address, /) -> None:
        """Listen at an address where other processes do, too; see ``Shareable``."""
        assert isinstance(place, Address), "takes_socket says so"
        self._place = place
        self._share_port = True

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
        self._dispatcher = Dispatcher(
            transport=_TRANSPORT,
            middleware=(*mount.middleware, *self._middleware, self._matcher),
            timeout=self._timeout,
            timeouts=self._timeouts,
            floors=self._floors,
            missing=mount.missing,
            cancel_grace=self._cancel_grace,
        )
        operations = self._dispatcher.operations
        for service in mount.services:
            self._dispatcher.add(service)
        self._dispatcher.check_names()
        self._app_health = mount.health
        own = HEALTH_CHECK.operation in operations
        if self._health and mount.health is not None and not own:
            self._probes.add(HealthService(mount.health))
        if self._reflection:
            self._reflect(mount)
        # Of all that passes the selectors: a name that is misspelt would guard nothing.
        guarded = [each for each in (self._dispatcher, *self._aside) if each is not self._probes]
        known = frozenset[str]().union(*(each.names for each in guarded))
        require_known("use(...)", self._matcher.selectors, known)

    async def bind(self) -> Sequence[str]:
        """Reserve the address and return the endpoint's URL; see ``Endpointer``.

        Raises:
            StartupError: The address is in use or does not exist here; names it.
        """
        if self._reservation is None:
            where = self._place or self._address
            self._reservation = await reserve(where, shared=self._share_port)
        if self._endpoint is None:
            address = self._reservation.address
            if address.path:
                self._terms.endpoint = str(address)
                return ()  # nobody on another machine reaches it
            published = advertised_address(self._address.host, address.port)
            secure = self._tls is not None
            self._endpoint = make_endpoint(_TRANSPORT, published, secure=secure)
            self._terms.endpoint = self._endpoint
        return (self._endpoint,)

    async def start(self) -> None:
        """Serve until ``stop`` has ended; see ``Server``.

        Raises:
            StartupError: The address cannot be had after all.
            ConfigError: A certificate cannot be used; names it and says why.

        Cancellation: cuts off every call and lets the cancellation pass.
        """
        await self.bind()
        if self._stopping.is_set():
            self._release()
            return
        claim()
        # Not before: grpc.aio ties its objects to the running loop.
        operations = self._operations()
        server = acceptor(
            _Router(operations, self._terms, json=self._json), operations, self._arguments()
        )
        await self._listen(server)
        self._server = server
        forget = self._terms.follow(self._app_health)
        try:
            await server.start()
            if self._stopping.is_set():
                await server.stop(None)  # what ``stop`` could not do before the start
            self._serving.set()
            _log.info("serving gRPC on %s", self._terms.endpoint)
            await self._wait_for_end(server)
        finally:
            self._release()
            forget()
            if not self._stopped.is_set():
                self._refuse_and_cancel()
                await self._cut_off(server)

    async def ready(self) -> None:
        """Return when calls are accepted; see ``Readying``."""
        await self._serving.wait()

    async def stop(self) -> None:
        """Accept nothing more, answer what is in flight, then let ``start`` return.

        Clients are told at once and go elsewhere with their next calls. Watchers of health and
        peers that ask what is served do not hold up the stop.

        Cancellation: cancels what is in flight with ``Cause.DRAINING``, so that it is answered
        503, and cuts off whatever is left after ``cancel_grace``.
        """
        self._stopping.set()
        self._release()
        try:
            if self._server is not None:
                await self._drain(self._server)
        finally:
            self._stopped.set()

    async def _wait_for_end(self, server: grpc.aio.Server) -> None:
        """Return when ``stop`` has ended; raise if grpc ended before it was asked to."""
        stopped = asyncio.ensure_future(self._stopped.wait())
        # Only with a timeout may it be cancelled: else that cancels what server.stop() waits for.
        ended = asyncio.ensure_future(server.wait_for_termination(_FOR_EVER))
        try:
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                ended.result()
                raise RuntimeError("grpc ended the server by itself")
            await stopped
        finally:
            stopped.cancel()
            ended.cancel()

    def _release(self) -> None:
        """Release the reserved address, and remove the file of a Unix socket."""
        if self._reservation is not None:
            self._reservation.close()

    async def _drain(self, server: grpc.aio.Server) -> None:
        for dispatcher in self._aside:
            dispatcher.draining = True
            dispatcher.cancel(Cause.DRAINING)
        closing = asyncio.ensure_future(server.stop(_FOR_EVER))
        try:
            # Calls that gRPC still lets in, because their clients have not heard yet, are served.
            await asyncio.shield(closing)
            if self._dispatcher is not None:
                await self._dispatcher.drain()
        except asyncio.CancelledError:
            self._refuse_and_cancel()
            await asyncio.wait((closing,), timeout=self._cancel_grace)
            await self._cut_off(server)
            raise

    def _refuse_and_cancel(self) -> None:
        """Let every call in flight end with the cause, and new ones not begin."""
        for dispatcher in (self._dispatcher, *self._aside):
            if dispatcher is not None:
                dispatcher.draining = True
                dispatcher.cancel(Cause.DRAINING)

    async def _cut_off(self, server: grpc.aio.Server) -> None:
        """End all connections."""
        cutting = asyncio.ensure_future(server.stop(None))
        await asyncio.wait((cutting,), timeout=self._cancel_grace)
        if not cutting.done():
            _log.error(
                "gRPC calls on %s ignored their end and were left behind", self._terms.endpoint
            )

    def _operations(self) -> dict[str, Operation]:
        operations: dict[str, Operation] = {}
        for dispatcher in self._aside:
            operations |= dispatcher.operations
        return operations if self._dispatcher is None else operations | self._dispatcher.operations

    def _reflect(self, mount: Mount) -> None:
        """Serve what tells of all that is served, where no service of its name is mounted."""
        tools = Dispatcher(
            transport=_TRANSPORT,
            middleware=(*mount.middleware, *self._middleware, self._matcher),
            timeout=None,
            cancel_grace=self._cancel_grace,
        )
        served = self._operations()
        for service in reflection_services(each.method for each in served.values()):
            if served.keys().isdisjoint(method.operation for method in service.METHODS):
                tools.add(service)
        self._aside.append(tools)

    def _arguments(self) -> list[tuple[str, Any]]:
        return [
            ("grpc.so_reuseport", int(self._share_port)),
            *self._limits.options(),
            *self._compression,
            *self._options,
        ]

    async def _listen(self, server: grpc.aio.Server) -> None:
        """Listen on the reserved address."""
        reservation = self._reservation
        assert reservation is not None, "bound before"
        credentials = None if self._tls is None else server_credentials(self._tls)
        target = reservation.yield_to_listener()
        try:
            if credentials is None:
                server.add_insecure_port(target)
            else:
                server.add_secure_port(target, credentials)
            reservation.settle()
        except RuntimeError as error:  # the core tells why on standard error alone
            reservation.close()
            address = reservation.address
            (await reserve(address, shared=self._share_port)).close()
            raise StartupError(f"cannot listen on {address}: gRPC refuses it") from error


class _Router(grpc.GenericRpcHandler):
    """Finds the operation of a call by its path."""

    def __init__(self, operations: Mapping[str, Operation], terms: Terms, *, json: bool) -> None:
        self._served = {
            path: (
                StreamedReplies if each.method.arity.server_streams else SingleReply,
                each,
                json_starts(each.method) if json else frozenset[bytes](),
            )
            for path, each in operations.items()
        }
        self._terms = terms
        self._services = {each.method.service for each in operations.values()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return what serves one call."""
        path = handler_call_details.method
        served = self._served.get(path)
        if served is None:
            return Unserved(self._unserved(path))
        exchange, operation, starts = served
        metadata: Metadata = handler_call_details.invocation_metadata
        return exchange(operation, metadata, self._terms, starts)

    def _unserved(self, path: str) -> str:
        service, _, method = path.removeprefix("/").rpartition("/")
        if service in self._services:
            return f"unknown method {method} for service {service}"
        return f"unknown service {service}"


def _require(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"{name} is {kind.__name__}(...) or None, not {value!r}")
