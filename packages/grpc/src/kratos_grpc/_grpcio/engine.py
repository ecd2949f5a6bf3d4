"""The engine of grpcio: what ``GrpcServer(engine="grpcio")`` serves on."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

import grpc
import grpc.aio

from kratos.address import Address
from kratos.errors import StartupError
from kratos.registry.endpoint import advertised_address, make_endpoint
from kratos.transport import Cause, Dispatcher, Operation
from kratos_grpc._grpcio.acceptor import acceptor
from kratos_grpc._grpcio.compression import server_options
from kratos_grpc._grpcio.exchange import SingleReply, StreamedReplies, Unserved
from kratos_grpc._grpcio.reservation import Reservation, reserve
from kratos_grpc._json import json_starts
from kratos_grpc._metadata import Metadata
from kratos_grpc._process import claim
from kratos_grpc._terms import Terms
from kratos_grpc._unserved import unserved
from kratos_grpc.credentials import server_credentials
from kratos_grpc.limits import ServerLimits
from kratos_grpc.tls import ServerTls
from kratos_http.protocols import Served

__all__ = ["GrpcioEngine"]

_log = logging.getLogger("kratos.grpc")

_TRANSPORT: Final = "grpc"
_FOR_EVER: Final = 365 * 86400.0  # seconds; None would mean at once


class GrpcioEngine:
    """Serves on grpc.aio; its methods are those of ``GrpcServer``.

    Args:
        address: Where to listen.
        endpoint: URL for the registry, in place of one made of the address.
        tls: Serve TLS with this certificate.
        limits: What peers may do.
        terms: Of the server.
        share_port: Whether other processes may listen on the port, too.
        options: Channel arguments beyond those that follow from the others.
        cancel_grace: Seconds that cancelled calls get to clean up.
    """

    takes_socket = False

    def __init__(
        self,
        address: Address,
        *,
        endpoint: str | None,
        tls: ServerTls | None,
        limits: ServerLimits,
        terms: Terms,
        share_port: bool,
        options: Sequence[tuple[str, str | int]],
        cancel_grace: float,
    ) -> None:
        self._address = address
        self._endpoint = endpoint
        self._tls = tls
        self._limits = limits
        self._terms = terms
        self._share_port = share_port
        self._options = options
        self._cancel_grace = cancel_grace
        self._place: Address | None = None
        self._dispatcher: Dispatcher | None = None
        self._aside: Sequence[Dispatcher] = ()
        self._served: Mapping[str, Operation] = {}
        self._reservation: Reservation | None = None
        self._server: grpc.aio.Server | None = None
        self._serving = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def address(self) -> Address | None:
        """Where it is to listen; ``None`` for a Unix socket, which gRPC cannot share."""
        return None if self._address.path else self._address

    def share(self, place: socket.socket | Address, /) -> None:
        """Listen at an address where other processes do, too."""
        assert isinstance(place, Address), "takes_socket says so"
        self._place = place
        self._share_port = True

    def serve(self, served: Served, dispatcher: Dispatcher, /) -> None:
        """Take what is to be served."""
        self._dispatcher = dispatcher
        self._aside = served.aside
        self._served = served.operations
        self._terms.health = served.mount.health

    async def bind(self) -> Sequence[str]:
        """Reserve the address and return the endpoint's URL.

        Raises:
            StartupError: The address is in use or does not exist here; names it.
        """
        if self._reservation is None:
            where = self._place or self._address
            self._reservation = await reserve(where, shared=self._share_port)
        if self._endpoint is None:
            address = self._reservation.address
            if address.path:
                self._terms.place.endpoint = str(address)
                return ()  # nobody on another machine reaches it
            published = advertised_address(self._address.host, address.port)
            secure = self._tls is not None
            self._endpoint = make_endpoint(_TRANSPORT, published, secure=secure)
            self._terms.place.endpoint = self._endpoint
        return (self._endpoint,)

    async def start(self) -> None:
        """Serve until ``stop`` has ended.

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
        server = acceptor(_Router(self._served, self._terms), self._served, self._arguments())
        await self._listen(server)
        self._server = server
        try:
            await server.start()
            if self._stopping.is_set():
                await server.stop(None)  # what ``stop`` could not do before the start
            self._serving.set()
            _log.info("serving gRPC on %s", self._terms.endpoint)
            await self._wait_for_end(server)
        finally:
            self._release()
            if not self._stopped.is_set():
                self._refuse_and_cancel()
                await self._cut_off(server)

    async def ready(self) -> None:
        """Return when calls are accepted."""
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

    def _arguments(self) -> list[tuple[str, Any]]:
        return [
            ("grpc.so_reuseport", int(self._share_port)),
            *self._limits.options(),
            *server_options(self._terms.coding),
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

    def __init__(self, operations: Mapping[str, Operation], terms: Terms) -> None:
        self._served = {
            path: (
                StreamedReplies if each.method.arity.server_streams else SingleReply,
                each,
                json_starts(each.method) if terms.json else frozenset[bytes](),
            )
            for path, each in operations.items()
        }
        self._terms = terms
        self._operations = operations

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return what serves one call."""
        path = handler_call_details.method
        served = self._served.get(path)
        if served is None:
            return Unserved(unserved(path, self._operations).message)
        exchange, operation, starts = served
        metadata: Metadata = handler_call_details.invocation_metadata
        return exchange(operation, metadata, self._terms, starts)
