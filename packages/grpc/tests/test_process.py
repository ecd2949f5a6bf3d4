"""A fork after gRPC was used is told from one before it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SERVE = """
import asyncio, os, sys
from kratos import App
from kratos.errors import StartupError
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos_grpc import GrpcConnector, GrpcServer

async def serve():
    app = App(services=[EchoService()], servers=[GrpcServer("127.0.0.1:0")], signals=())
    async with running(app):
        pass

def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(work())
        except StartupError as error:
            print(error, flush=True)
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
BEFORE = SERVE + "sys.exit(child(serve))"
AFTER = SERVE + "asyncio.run(serve()); sys.exit(child(serve))"


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_child_that_was_forked_before_grpc_was_used_serves() -> None:
    done = run(BEFORE)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_child_that_was_forked_after_grpc_was_used_refuses_to_start_and_says_why() -> None:
    done = run(AFTER)
    assert done.returncode == 3, done.stderr
    assert "was then forked" in done.stdout
    assert "spawn" in done.stdout
