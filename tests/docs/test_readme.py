"""The README's first steps, taken as they stand there, in an empty folder."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from kratos.registry import from_url

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def block(after: str) -> str:
    """Return the first fenced block after a text."""
    found = re.search(r"```\w+\n(.*?)```", README[README.index(after) :], re.DOTALL)
    assert found is not None
    return found[1]


async def registered(registry: str, name: str) -> None:
    watcher = await from_url(registry).watch(name)
    async with asyncio.timeout(20):
        seen = await watcher.read()
        while not seen.value:
            seen = await watcher.changed(seen.token) or await watcher.read()
    await watcher.aclose()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.slow
def test_service_of_the_readme_answers_and_is_found(tmp_path: Path) -> None:
    port = free_port()
    changes = {
        "file:///tmp/kratos-registry": f"file://{tmp_path / 'registry'}",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "127.0.0.1:9000": "127.0.0.1:0",
    }

    def mine(text: str) -> str:
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    (tmp_path / "helloworld").mkdir()
    proto = tmp_path / "helloworld" / "greeter.proto"
    proto.write_text(block("`helloworld/greeter.proto`:"), encoding="utf-8")
    generate = block("message HelloReply").split()
    assert generate == ["kratos", "proto", "helloworld"]
    main = "import sys; from kratos_cli.main import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", main, *generate[1:]], cwd=tmp_path, check=True)
    (tmp_path / "service.py").write_text(mine(block("`service.py`:")), encoding="utf-8")
    (tmp_path / "client.py").write_text(mine(block("And from another")), encoding="utf-8")

    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, "service.py"], cwd=tmp_path, env=env) as service:
        try:
            asyncio.run(registered(changes["file:///tmp/kratos-registry"], "greeter"))
            called = subprocess.run(
                [sys.executable, "client.py"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert called.returncode == 0, called.stderr
            assert called.stdout.split("\n") == ['message: "Hello kratos"', ""] * 2 + [""]
            url = mine(re.findall(r"curl .*?(http\S+)", README)[0])
            with urllib.request.urlopen(url) as reply:
                assert reply.read() == b'{"message":"Hello kratos"}'
        finally:
            service.terminate()
        assert service.wait(10) == 0
