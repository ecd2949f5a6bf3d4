"""A server of large bodies; ``python -m benchmarks.subjects.bodies ENGINE`` prints its port."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, ClassVar, Final

from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from kratos.transport import (
    Arity,
    HttpMultipart,
    HttpOptions,
    HttpRule,
    Method,
    Mount,
    Service,
)
from kratos_http import HttpServer, Request, StreamReply
from kratos_http.asgi import Asgi

__all__ = ["FILL", "READ", "WRITE", "server_for"]

_PIECE: Final = bytes(64 * 1024)
_LIMIT: Final = 1 << 40


def _method(
    name: str, arity: Arity, request: Any, reply: Any, rule: HttpRule, options: HttpOptions
) -> Method[Any, Any]:
    return Method(
        operation=f"/bench.Bodies/{name}",
        name=name.lower(),
        arity=arity,
        request=request,
        reply=reply,
        http=(rule,),
        http_options=options,
    )


READ: Final = _method(
    "Read",
    Arity.SERVER_STREAM,
    StringValue,
    HttpBody,
    HttpRule(verb="GET", path="/read/{value}"),
    HttpOptions(),
)
WRITE: Final = _method(
    "Write",
    Arity.CLIENT_STREAM,
    HttpBody,
    StringValue,
    HttpRule(verb="POST", path="/write", body="*"),
    HttpOptions(max_body=_LIMIT),
)
FILL: Final = _method(
    "Fill",
    Arity.CLIENT_STREAM,
    BytesValue,
    StringValue,
    HttpRule(verb="POST", path="/fill", body="value"),
    HttpOptions(max_body=_LIMIT, multipart=HttpMultipart()),
)


class Bodies(Service):
    """Sends as many bytes as it is asked for, and counts those that it gets."""

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (READ, WRITE, FILL)

    async def read(self, request: StringValue, /) -> AsyncIterator[Any]:
        """Send some bytes."""
        for size in _sizes(int(request.value)):
            yield HttpBody(content_type="video/mp4", data=_PIECE[:size])

    async def write(self, requests: AsyncIterator[Any], /) -> StringValue:
        """Count bytes."""
        return StringValue(value=str(sum([len(each.data) async for each in requests])))

    async def fill(self, requests: AsyncIterator[Any], /) -> StringValue:
        """Count bytes."""
        return StringValue(value=str(sum([len(each.value) async for each in requests])))


def _sizes(total: int) -> list[int]:
    whole, rest = divmod(total, len(_PIECE))
    return [len(_PIECE)] * whole + [rest] * bool(rest)


def server_for(address: str) -> HttpServer:
    """Return a server of services and of plain handlers, with nothing held in memory."""
    server = HttpServer(address)
    server.mount(Mount(services=[Bodies()]))

    @server.route("GET", "/plain/{size}", streamed=True)
    async def give(request: Request) -> StreamReply:
        size = int(request.params["size"])
        return StreamReply(pieces=_pieces(size), length=size)

    @server.route("POST", "/plain", streamed=True, max_body=_LIMIT)
    async def take(request: Request) -> StringValue:
        return StringValue(value=str(sum([len(piece) async for piece in request.pieces()])))

    return server


async def _pieces(total: int) -> AsyncIterator[bytes]:
    for size in _sizes(total):
        yield _PIECE[:size]


async def _own() -> None:
    server = server_for("127.0.0.1:0")
    (url,) = await server.bind()
    serving = asyncio.ensure_future(server.start())
    await server.ready()
    print(url.rpartition(":")[2], flush=True)
    await serving


async def _asgi() -> None:
    import uvicorn

    server = server_for("127.0.0.1:0")
    sock = socket.create_server(("127.0.0.1", 0))
    print(sock.getsockname()[1], flush=True)
    config = uvicorn.Config(
        Asgi(server.application), log_level="error", http="httptools", lifespan="off"
    )
    await uvicorn.Server(config).serve(sockets=[sock])


def main() -> None:
    """Serve until killed."""
    import uvloop

    run = {"own": _own, "asgi": _asgi}[sys.argv[1]]
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


if __name__ == "__main__":
    main()
