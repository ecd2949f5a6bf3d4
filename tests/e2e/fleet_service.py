"""One of a fleet behind a gateway: ``fleet_service.py REGISTRY NAME ID``.

Prints ``serving`` when it is registered. Serves the methods of ``EchoService`` over HTTP and gRPC,
and its id at ``/fleet/who``; a signal USR1 makes that answer take three seconds from then on.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from kratos import App
from kratos.testing.echo import EchoService
from kratos.transport.http import Reply
from kratos_grpc import GrpcServer
from kratos_http import HttpServer, Request, text_reply

SLOW = 3.0  # seconds


def build(registry: str, name: str, own: str) -> App:
    http = HttpServer("127.0.0.1:0")
    slow = asyncio.Event()

    def follow(_app: App) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, slow.set)

    @http.route("GET", "/fleet/who")
    async def who(_request: Request) -> Reply:  # pyright: ignore[reportUnusedFunction]
        if slow.is_set():
            await asyncio.sleep(SLOW)
        return text_reply(own)

    return App(
        id=own,
        name=name,
        services=[EchoService()],
        servers=[http, GrpcServer("127.0.0.1:0")],
        registrar=registry,
        require_registration=True,
        before_start=[follow],
        after_start=[lambda app: print("serving", flush=True)],
    )


if __name__ == "__main__":
    build(*sys.argv[1:]).serve()
