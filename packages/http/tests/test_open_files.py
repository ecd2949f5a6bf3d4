"""A process that may open few files, and more peers than those."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import ExitStack

import pytest

from kratos_http.testing import Answer, SocketPeer

PROGRAM = """
import asyncio, logging, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
from kratos.transport import Mount
from kratos_http import HttpServer, Limits, text_reply
from kratos_http import _accepting

_accepting.connections_allowed = lambda limits: 10_000  # as if there were no such precaution

async def main():
    server = HttpServer("127.0.0.1:0", health_paths=None)
    @server.route("GET", "/")
    async def hello(request):
        return text_reply("hello")
    server.mount(Mount())
    (url,) = await server.bind()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: asyncio.ensure_future(server.stop()))
    serving = asyncio.ensure_future(server.start())
    await server.ready()
    print(url, flush=True)
    await serving

logging.basicConfig()
asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of open files are POSIX")
async def test_server_without_files_serves_everybody_later() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(
            subprocess.Popen(  # noqa: ASYNC220  it takes a millisecond
                [sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(server.kill)
        assert server.stdout is not None
        port = int(server.stdout.readline().rpartition(":")[2])
        peers: list[SocketPeer] = []

        async def ask() -> Answer:
            peer = await SocketPeer.connect("127.0.0.1", port)
            peers.append(peer)
            # At once: who is idle makes room for others.
            return await peer.request("GET", "/")

        answers = await asyncio.gather(*(ask() for _ in range(120)))
        for peer in peers:
            await peer.aclose()
        _, log = server.communicate("stop\n", timeout=30)
    assert {answer.body for answer in answers} == {b"hello"}
    assert "Too many open files; raise the limit" in log
    assert server.returncode == 0
