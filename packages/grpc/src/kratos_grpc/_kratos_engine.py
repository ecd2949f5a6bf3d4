"""The engine of our own HTTP/2: what ``GrpcServer(engine="kratos")`` serves on."""

from __future__ import annotations

import asyncio
import math
import random
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from kratos.address import Address
from kratos.transport import Dispatcher
from kratos.transport.http import Endpoint, Head, Reply
from kratos_grpc._conduct import GrpcConduct
from kratos_grpc._terms import Terms
from kratos_grpc.limits import ServerLimits
from kratos_grpc.tls import ServerTls
from kratos_http.conduct import Governed
from kratos_http.limits import Limits
from kratos_http.listening import Engine, Listening
from kratos_http.protocols import Constant, HttpProtocol, Protocols, Served

__all__ = ["KratosEngine"]


class KratosEngine:
    """Serves on the engine of ``kratos_http``; its methods are those of ``GrpcServer``.

    Args:
        address: Where to listen.
        endpoint: URL for the registry, in place of one made of the address.
        tls: Serve TLS with this certificate.
        limits: What peers may do.
        terms: Of the server.
        share_port: Whether other processes may listen on the port, too.
        protocols: Served on the port; the first is gRPC.
        cancel_grace: Seconds that cancelled calls get to clean up.
    """

    takes_socket = True

    def __init__(
        self,
        address: Address,
        *,
        endpoint: str | None,
        tls: ServerTls | None,
        limits: ServerLimits,
        terms: Terms,
        share_port: bool,
        protocols: Sequence[HttpProtocol],
        cancel_grace: float,
    ) -> None:
        self._protocols = protocols
        self._listening = Listening(
            address,
            engine=Engine(
                Protocols(protocols, _Nothing()),
                limits=_http_limits(limits),
                conductor=partial(_conduct, limits, cancel_grace, random.Random()),
            ),
            place=terms.place,
            endpoint=endpoint,
            tls=tls,
            sock=None,
            cancel_grace=cancel_grace,
            schemes=("grpc",),
            share_port=share_port,
        )

    @property
    def address(self) -> Address | None:
        """Where it is to listen."""
        return self._listening.address

    def share(self, place: socket.socket | Address, /) -> None:
        """Serve on a socket that other processes have, too."""
        assert isinstance(place, socket.socket), "takes_socket says so"
        self._listening.share(place)

    def serve(self, served: Served, dispatcher: Dispatcher, /) -> None:
        """Take what is to be served."""
        for protocol in self._protocols:
            protocol.mount(served)
        self._listening.dispatcher = dispatcher
        self._listening.aside = served.aside
        self._listening.mount(served.mount)

    async def bind(self) -> Sequence[str]:
        """Reserve the address and return the endpoint's URL.

        Raises:
            StartupError: The address is in use or does not exist here; names it.
            ConfigError: A certificate cannot be used; names it and says why.
        """
        return await self._listening.bind()

    async def start(self) -> None:
        """Serve until ``stop`` has ended.

        Raises:
            StartupError: The address cannot be had after all.

        Cancellation: cuts off every call and lets the cancellation pass.
        """
        await self._listening.start(_no_lifespan)

    async def ready(self) -> None:
        """Return when calls are accepted."""
        await self._listening.ready()

    async def stop(self) -> None:
        """Accept nothing more, answer what is in flight, then let ``start`` return."""
        await self._listening.stop()


class _Nothing:
    """Answers what is of no protocol (gRPC over HTTP/2, Requests)."""

    def route(self, _head: Head, /) -> Endpoint:
        return _WRONG_KIND


_TEXT: Final = b"gRPC is served here: the content type has to be application/grpc"
_MANY: Final = 2**31 - 1
_WRONG_KIND: Final = Constant(Reply(415, ((b"content-type", b"text/plain"),), _TEXT))


def _http_limits(limits: ServerLimits) -> Limits:
    never = math.inf
    most = limits.max_calls or _MANY
    return Limits(
        max_head=limits.max_headers,
        max_streams=most,
        max_requests=max(Limits().max_requests, most),
        idle_timeout=limits.max_connection_idle or never,
    )


def _conduct(
    limits: ServerLimits, grace: float, chance: random.Random, connection: Governed, /
) -> GrpcConduct:
    loop = asyncio.get_running_loop()
    return GrpcConduct(connection, limits, grace=grace, loop=loop, chance=chance)


@asynccontextmanager
async def _no_lifespan() -> AsyncGenerator[None]:
    yield
