"""A fork after grpcio was used is told from one before it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SERVE = """
import asyncio, os, sys
from kratos import App
from kratos.errors import StartupError
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos_grpc import GrpcConnector, GrpcServer

async def serve():
    server = GrpcServer("127.0.0.1:0", engine="grpcio")
    app = App(services=[EchoService()], servers=[server], signals=())
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


SUPERVISE = """
import asyncio, sys
import grpc, grpc.aio
import kratos_grpc
from kratos import App, run
from kratos.testing.app import running
from kratos.testing.echo import EchoService

def build():
    server = kratos_grpc.GrpcServer("127.0.0.1:0", engine="grpcio")
    return App(services=[EchoService()], servers=[server])

async def serve():
    async with running(build()):
        pass

def use(how):
    if how == "server":
        asyncio.run(serve())
    elif how == "channel":
        return grpc.insecure_channel("127.0.0.1:1")

if __name__ == "__main__":
    used = use(sys.argv[1])
    run(build, workers=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux")
@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("server", "a server or a connection of kratos-grpc was started here"),
        ("channel", "there is a Channel"),
    ],
)
def test_process_that_used_grpc_does_not_become_a_supervisor_and_says_why(
    how: str, what: str, tmp_path: Path
) -> None:
    program = tmp_path / "service.py"
    program.write_text(SUPERVISE)
    done = subprocess.run(
        [sys.executable, program, how], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert what in done.stderr
    assert "App(resources=...)" in done.stderr


def test_importing_grpc_alone_ties_a_process_to_nothing() -> None:
    done = run("import grpc, grpc.aio, kratos_grpc; from kratos.process import ties; print(ties())")
    assert done.stdout == "()\n", done.stderr
