"""Clients of others call the port: curl, nghttp2, and programs of gRPC."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ECHO = "kratos.testing.Echo/Echo"
DEFINITION = """\
syntax = "proto3";
package kratos.testing;
import "google/protobuf/wrappers.proto";
service Echo { rpc Echo(google.protobuf.StringValue) returns (google.protobuf.StringValue); }
"""


async def run(*command: str | Path) -> tuple[int | None, str]:
    """Run a program, and return what it ended with and what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.fixture
def nghttp2() -> Path:
    """Folder of nghttp and h2load."""
    return Path(os.environ["KRATOS_TEST_NGHTTP2"])


@pytest.fixture
def curl() -> str:
    """The program, which speaks HTTP/2 wherever it comes from Debian."""
    found = shutil.which("curl")
    if found is None:
        pytest.skip("there is no curl on PATH")
    return found


async def test_curl_speaks_http_2(serve: Any, curl: str, tls: bool) -> None:
    async with serve(tls=tls) as served:
        version = ("--http2", "--cacert", served.root) if tls else ("--http2-prior-knowledge",)
        asking = (curl, "-sS", *version, "-w", "%{http_version} %{http_code} %{content_type}")
        greeting = await run(*asking, served.url("/"))
        told = await run(*asking, "--data-binary", "x" * 100_000, served.url("/"))
    assert greeting == (0, "well met\n2 200 text/plain; charset=utf-8")
    assert told == (0, "1000002 200 text/plain; charset=utf-8")


async def test_curl_speaks_http_1_1_on_the_same_port(serve: Any, curl: str, tls: bool) -> None:
    async with serve(tls=tls) as served:
        trusting = ("--cacert", served.root) if tls else ()
        asking = (curl, "-sS", "--http1.1", *trusting, "-w", "%{http_version} %{http_code}")
        assert await run(*asking, served.url("/")) == (0, "well met\n1.1 200")


async def test_curl_asks_several_things_at_once_on_one_connection(serve: Any, curl: str) -> None:
    # Not with prior knowledge: there curl 7.88 fails before it sends the second request.
    async with serve(tls=True) as served:
        options = ("--parallel", "--no-progress-meter", "--http2", "--cacert", served.root)
        urls = [served.url("/")] * 20
        status, said = await run(curl, "-sS", *options, "-w", "%{num_connects} ", *urls)
    assert status == 0
    assert said.count("well met") == 20
    assert sum(int(each) for each in said.replace("well met\n", "").split()) == 1


async def test_curl_calls_a_method_over_connect(serve: Any, curl: str) -> None:
    async with serve() as served:
        asking = (curl, "-sS", "--http2-prior-knowledge", "-H", "content-type: application/json")
        assert await run(*asking, "-d", '"hello"', served.url(f"/{ECHO}")) == (0, '"hello"')


@pytest.mark.service("nghttp2")
async def test_nghttp_gets_what_it_asks_for_with_priorities_and_padding(
    serve: Any, nghttp2: Path, tls: bool
) -> None:
    async with serve(tls=tls) as served:
        options = ("--no-verify-peer", "--padding=100", "--multiply=5", "--weight=200", "--stat")
        status, said = await run(nghttp2 / "nghttp", *options, served.url("/"))
    assert status == 0, said
    assert said.count("well met") == 5
    assert said.count(" 200 ") == 5


@pytest.mark.service("nghttp2")
async def test_nghttp_sends_with_small_windows_and_trailers(
    serve: Any, nghttp2: Path, tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 300_000)
    async with serve() as served:
        options = ("--window-bits=1", "--connection-window-bits=1", "--trailer=x-end: yes")
        status, said = await run(nghttp2 / "nghttp", *options, "--data", body, served.url("/"))
    assert (status, said) == (0, "300000")


@pytest.mark.service("nghttp2")
async def test_h2load_sees_every_request_answered(serve: Any, nghttp2: Path, tls: bool) -> None:
    async with serve(tls=tls) as served:
        load = ("--requests=5000", "--clients=10", "--max-concurrent-streams=100")
        status, said = await run(nghttp2 / "h2load", *load, served.url("/"))
    assert status == 0, said
    assert "5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed" in said
    assert "status codes: 5000 2xx" in said


@pytest.mark.go
async def test_ghz_sees_every_call_answered(
    serve: Any, go_tool: Callable[[str], Path], tmp_path: Path
) -> None:
    definition = tmp_path / "echo.proto"
    definition.write_text(DEFINITION)
    async with serve() as served:
        status, said = await run(
            go_tool("ghz") / "ghz",
            *("--insecure", "--format=json", "--total=2000", "--concurrency=20"),
            *("--connections=4", f"--proto={definition}", f"--call={ECHO}", '--data="hello"'),
            served.address,
        )
    assert status == 0, said
    report = json.loads(said)
    assert report["statusCodeDistribution"] == {"OK": 2000}
