"""The first steps with the gateway, typed as they stand there, are answered as they say."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "gateway-first-steps.md").read_text(encoding="utf-8")
# Where everything is installed; .ci/run names an environment of built wheels.
PROGRAMS = Path(os.environ.get("KRATOS_TEST_INSTALLED") or sys.prefix) / "bin"
BLOCKS: dict[str, str] = dict(re.findall(r"```\w+ title=(\S+)\n(.*?)```", PAGE, re.DOTALL))
TYPED = [name for name in BLOCKS if f"{name}-answer" in BLOCKS]
PORTS = ("8080", "8081", "8001", "8002", "7070")


class Steps:
    """The folder of the page, at ports of its own, with all programs running in it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.ports: dict[str, str] = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        for name, text in BLOCKS.items():
            if "." in name:
                (folder / name).write_text(self.mine(text), encoding="utf-8")
        self.environment = {
            **os.environ,
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "JWT_SECRET": "0123456789abcdef0123456789abcdef",
        }

    def mine(self, text: str) -> str:
        """Return a text with our ports in place of those of the page."""
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: self.ports[found[0]], text)

    def start(self, port: str, *command: str) -> None:
        """Run a program until the end, and return when it listens at a port of the page."""
        process = self.stack.enter_context(
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                executable=PROGRAMS / command[0],
                stderr=subprocess.DEVNULL,
            )
        )
        self.stack.callback(process.terminate)
        while not self.answers(port):
            assert process.poll() is None, command

    def answers(self, port: str) -> bool:
        """Tell whether something answers at a port of the page."""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}/none", timeout=60).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def type(self, name: str) -> str:
        """Return what a block of the page says when it is typed."""
        done = subprocess.run(
            ["bash", "-euc", self.mine(BLOCKS[name])],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (name, done.stdout, done.stderr)
        return done.stdout


def free_ports(count: int) -> list[str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Steps]:
    with ExitStack() as stack:
        made = Steps(tmp_path, stack)
        made.start("8001", "python", "backend.py", "old", made.ports["8001"])
        made.start("8002", "python", "backend.py", "new", made.ports["8002"])
        flags = ("-conf", "gateway.yaml", "-addr", f"127.0.0.1:{made.ports['8080']}")
        debug = ("-debug", "-debug.addr", f"127.0.0.1:{made.ports['7070']}")
        made.start("8080", "kratos-gateway", *flags, *debug)
        made.start("8081", "python", "program.py")
        yield made


@pytest.mark.slow
def test_what_the_page_types_is_answered_as_it_says(steps: Steps) -> None:
    assert len(TYPED) > 8
    for name in TYPED:
        assert steps.type(name).strip() == steps.mine(BLOCKS[f"{name}-answer"]).strip(), name
