"""nginx stands in front of the port, and passes calls of gRPC on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kratos import Client, Error
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH, text
from kratos.testing.program import free_port
from kratos.transport import CallOptions
from kratos_grpc import GrpcConnector

pytestmark = [pytest.mark.service("nginx"), pytest.mark.slow]

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} http2;
        location / {{ grpc_pass grpc://{upstream}; }}
    }}
}}
"""


@asynccontextmanager
async def nginx(folder: Path, upstream: str) -> AsyncGenerator[str]:
    """Run nginx in front of a server; gives its address."""
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream))
    program = os.environ["KRATOS_TEST_NGINX"]
    process = await asyncio.create_subprocess_exec(
        *(program, "-p", folder, "-e", "stderr", "-c", configuration),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


def patient(address: str, engine: Any) -> Client:
    """Make a client whose calls wait until nginx listens."""
    connector = GrpcConnector(engine=engine)
    return Client(f"grpc://{address}", transport=connector, timeout=30.0, fail_fast=False)


@pytest.mark.parametrize("engine", ["grpcio", "kratos"])
async def test_calls_of_all_arities_get_through(serve: Any, engine: Any, tmp_path: Path) -> None:
    async with (
        serve() as served,
        nginx(tmp_path, served.address) as address,
        patient(address, engine) as caller,
    ):
        assert (await caller.unary(ECHO, text("hello"))).value == "hello"
        long = "x" * 1_000_000
        assert (await caller.unary(ECHO, text(long))).value == long
        requests = [text(word) for word in ("a", "b")]
        assert (await caller.client_stream(COLLECT, requests)).value == "a b"
        async with caller.server_stream(WATCH, text("a b c")) as replies:
            assert [reply.value async for reply in replies] == ["a", "b", "c"]
        async with caller.bidi_stream(CHAT) as stream:
            await stream.send(text("one"))
            assert (await anext(stream)).value == "one"
            await stream.end()
            assert [reply async for reply in stream] == []


@pytest.mark.parametrize("engine", ["grpcio", "kratos"])
async def test_errors_and_deadlines_get_through_whole(
    serve: Any, engine: Any, tmp_path: Path
) -> None:
    async with (
        serve() as served,
        nginx(tmp_path, served.address) as address,
        patient(address, engine) as caller,
    ):
        with pytest.raises(Error) as failure:
            await caller.unary(ECHO, text("fail"))
        with pytest.raises(Error) as late:
            await caller.unary(ECHO, text("hang"), CallOptions(timeout=0.2))
    assert (failure.value.code, failure.value.message) == (409, "try later")
    assert late.value.code == 504
