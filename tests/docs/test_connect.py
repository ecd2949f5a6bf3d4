"""The calls by curl on the page about Connect are answered as it says."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from kratos.definition import MetadataService
from kratos.testing.echo import EchoService
from kratos.transport import Mount
from kratos_grpc.connect import Connect
from kratos_http import HttpServer
from kratos_http.testing import running

PAGE = Path(__file__).parents[2] / "docs" / "connect.md"
TOOLS = ("curl", "cut", "printf", "sh", "tr")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"the page needs {', '.join(TOOLS)}"
)


def examples() -> list[tuple[str, str]]:
    page = PAGE.read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize(("command", "answer"), examples())
@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
async def test_a_call_by_curl_is_answered_as_the_page_says(
    command: str, answer: str, version: str
) -> None:
    services = [EchoService()]
    server = HttpServer("127.0.0.1:0", protocols=[Connect()])
    server.mount(Mount(services=[*services, MetadataService(services)]))
    async with running(server):
        (url,) = await server.bind()
        script = command.replace("http://localhost:8000", url).replace("curl ", f"curl {version} ")
        shell = await asyncio.create_subprocess_exec(
            "sh", "-c", script, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await shell.communicate()
    assert said.decode().rstrip("\n") == answer.rstrip("\n")


def test_the_page_has_examples() -> None:
    assert len(examples()) == 5
