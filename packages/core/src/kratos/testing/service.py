"""A service behind its whole chain, called by a client, without a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from kratos.client import Client
from kratos.testing.call_faults import CallFaults
from kratos.testing.connector import FakeConnector
from kratos.transport import Connector, Service
from kratos.transport.local import LocalTransport

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware

__all__ = ["serving"]

_ADDRESS: Final = "local:1"


@asynccontextmanager
async def serving(
    *services: Service,
    middleware: Sequence[AnyMiddleware] = (),
    client_middleware: Sequence[AnyMiddleware] = (),
    timeout: float | None = 1.0,
    client_timeout: float | None = 2.0,
    encode: bool = False,
    faults: CallFaults | None = None,
) -> AsyncGenerator[Client]:
    """Serve services for the block, in process, and yield a client of them.

        async with serving(GreeterService(), middleware=[recovery()]) as caller:
            reply = await GreeterClient(caller).say_hello(HelloRequest(name="kratos"))

    A call runs the client's chain, the pick of a node, the server's edge and chain, and the
    handler, with headers, trailers, deadlines and streams as over every transport. The handler
    runs in a task and a context of its own, as behind a wire.

    Args:
        services: Objects to serve.
        middleware: The server's chain, outermost first.
        client_middleware: The client's chain, outermost first.
        timeout: Seconds that the server gives a unary call; ``None`` for no limit.
        client_timeout: Seconds that the client gives one.
        encode: Whether messages are serialised on their way. By default the handler gets the
            caller's own objects.
        faults: What disturbs the calls between client and server.

    Yields:
        The client. Its calls fail once the block has been left; those in flight are cut off.

    Raises:
        StartupError: A service cannot be served.
    """
    inner = FakeConnector(scheme="local", lazy=True)
    inner.put(
        _ADDRESS, LocalTransport(*services, middleware=middleware, timeout=timeout, encode=encode)
    )
    connector: Connector = inner if faults is None else faults.connector(inner)
    async with Client(
        f"direct:///{_ADDRESS}",
        transport=connector,
        middleware=client_middleware,
        timeout=client_timeout,
    ) as client:
        yield client
