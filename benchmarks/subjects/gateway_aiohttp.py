"""A proxy of aiohttp's server and client: ``gateway_aiohttp HOST:PORT ROUTES``."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib import import_module
from typing import Any, Final

import uvloop

client: Any = import_module("aiohttp")
web: Any = import_module("aiohttp.web")

_HOP: Final = ("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host")


class _Forwarding:
    """Passes requests on, piece by piece."""

    def __init__(self) -> None:
        self._node = f"http://{os.environ['BENCH_BACKEND']}"
        self._session: Any = None

    async def open(self, _app: Any) -> None:
        connector = client.TCPConnector(limit=0)
        self._session = client.ClientSession(connector=connector, auto_decompress=False)

    async def forward(self, request: Any) -> Any:
        headers = {**_end_to_end(request.headers), "X-Forwarded-For": request.remote}
        async with self._session.request(
            request.method,
            self._node + request.path_qs,
            headers=headers,
            data=request.content if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            reply = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
            await reply.prepare(request)
            async for piece in answer.content.iter_any():
                await reply.write(piece)
            await reply.write_eof()
            return reply


def _end_to_end(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


async def _serve(address: str, routes: int) -> None:
    app, forwarding = web.Application(), _Forwarding()
    app.on_startup.append(forwarding.open)
    for number in range(routes):
        app.router.add_route("*", f"/r{number:05}/{{path:.*}}", forwarding.forward)
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, int(port)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(sys.argv[1], int(sys.argv[2])))
