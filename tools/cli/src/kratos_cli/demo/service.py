"""One service of the demo as a process.

``python -m kratos_cli.demo.service NAME REGISTRY DESCRIPTORS``
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from kratos import App, Client
from kratos.middleware import metadata, recovery
from kratos.transport import Server
from kratos_cli.demo.figures import DEBUG
from kratos_cli.demo.journal import journal
from kratos_grpc import GrpcServer
from kratos_http import HttpServer, OpenApi, StreamOptions
from kratos_http.debug import DebugServer

__all__ = ["build"]

_VERSION = "1.0.0"
_HEARTBEAT = 15.0  # seconds after which an event stream shows that it is alive


class Parent:
    """Ends the application when the process that started it is gone: standard input ends then.

    A member with nothing but ``start`` and ``stop``; a member that ends stops the application.
    """

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Wait for the end of standard input, or for ``stop``."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        gone = asyncio.ensure_future(reader.read())
        told = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((gone, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            told.cancel()
            transport.close()

    async def stop(self) -> None:
        """Let ``start`` return."""
        self._stopping.set()


def build(name: str, registry: str, descriptors: bytes) -> App:
    """Return the application of one of the two services.

    Args:
        name: Which.
        registry: URL of the registry.
        descriptors: Definitions with their comments, which the description of the API repeats.
    """
    chain = [journal(name), recovery(), metadata()]
    http = HttpServer(
        "127.0.0.1:0",
        openapi=OpenApi(description=f"The {name} of the demo.", descriptors=descriptors),
        streams=StreamOptions(heartbeat=_HEARTBEAT),
    )
    debug = DebugServer()

    def tell_debug(app: App) -> None:
        app.update_metadata({DEBUG: debug.url})

    servers: list[Server] = [http, GrpcServer("127.0.0.1:0"), debug, Parent()]
    if name == "greeter":
        from kratos_cli.demo.greeter import GreeterService

        return App(
            name=name,
            version=_VERSION,
            services=[GreeterService()],
            middleware=chain,
            servers=servers,
            registrar=registry,
            before_start=[tell_debug],
        )

    from helloworld.greeter_kratos import GreeterClient

    from kratos_cli.demo.bookshop import BookshopService

    greeter = Client(
        "discovery:///greeter",
        transport="grpc",
        discovery=registry,
        middleware=[journal(name), metadata()],
    )
    return App(
        name=name,
        version=_VERSION,
        services=[BookshopService(GreeterClient(greeter))],
        middleware=chain,
        servers=servers,
        registrar=registry,
        resources=[greeter],
        before_start=[tell_debug],
    )


if __name__ == "__main__":
    logging.getLogger("kratos").setLevel(logging.WARNING)  # the demo tells the rest
    # Either service may be up first, and the bookshop then finds no greeter for a moment.
    logging.getLogger("kratos.client").setLevel(logging.ERROR)
    _, service, url, definitions = sys.argv
    build(service, url, Path(definitions).read_bytes()).serve()
