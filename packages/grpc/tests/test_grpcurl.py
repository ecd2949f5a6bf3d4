"""grpcurl, which knows nothing of what is served but what reflection tells it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from kratos.definition import MetadataService
from kratos.health import Health, Phase
from kratos.testing.echo import EchoService

pytestmark = [pytest.mark.go, pytest.mark.slow]

PROGRAM = "github.com/fullstorydev/grpcurl/cmd/grpcurl"
VERSION = "v1.9.4"
# Those of other programs of tests, so that Go compiles each library once.
LIBRARIES = (
    "golang.org/x/net@v0.62.0",
    "golang.org/x/sys@v0.49.0",
    "golang.org/x/text@v0.43.0",
    "google.golang.org/grpc@v1.85.0",
    "google.golang.org/protobuf@v1.36.12",
)


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    """Path of the program, built at most once."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kratos-tests"
    root.mkdir(parents=True, exist_ok=True)
    program = root / f"grpcurl-{VERSION}-beside-grpc-1.85"
    with Path(f"{program}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes of tests one builds
        if not program.exists():
            with tempfile.TemporaryDirectory(dir=root) as folder:
                go(folder, "mod", "init", "grpcurl")
                go(folder, "get", f"{PROGRAM}@{VERSION}", *LIBRARIES)
                go(folder, "build", "-o", "grpcurl", PROGRAM)
                Path(folder, "grpcurl").rename(program)
    return program


def go(folder: str, *words: str) -> None:
    done = subprocess.run(["go", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def health() -> Health:
    health = Health()
    health.advance(Phase.SERVING)
    return health


async def run(grpcurl: Path, *arguments: str) -> tuple[int | None, str]:
    """Run the program, and return what it ended with and what it said."""
    process = await asyncio.create_subprocess_exec(
        grpcurl,
        "-plaintext",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_services_are_listed(serve: Any, grpcurl: Path, health: Health) -> None:
    async with serve(EchoService(), health=health) as served:
        code, said = await run(grpcurl, served.address, "list")
    assert (code, said.split()) == (
        0,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "kratos.testing.Echo",
        ],
    )


@pytest.mark.parametrize(
    ("symbol", "line"),
    [
        ("kratos.api.Metadata", "rpc ListServices ( .kratos.api.ListServicesRequest )"),
        ("kratos.testing.Echo.Chat", "returns ( stream .google.protobuf.StringValue );"),
        ("grpc.health.v1.HealthCheckResponse", "SERVICE_UNKNOWN = 3;"),
        ("grpc.reflection.v1alpha.ErrorResponse", "string error_message = 2;"),
    ],
)
async def test_symbol_is_described(
    serve: Any, grpcurl: Path, health: Health, symbol: str, line: str
) -> None:
    async with serve(EchoService(), MetadataService([]), health=health) as served:
        code, said = await run(grpcurl, served.address, "describe", symbol)
    assert code == 0, said
    assert line in said


async def test_unknown_symbol_is_told_to_be_none(serve: Any, grpcurl: Path) -> None:
    async with serve(EchoService()) as served:
        code, said = await run(grpcurl, served.address, "describe", "no.Such")
    assert code != 0
    assert "no.Such" in said


@pytest.mark.parametrize(
    ("method", "sent", "replies"),
    [
        ("kratos.testing.Echo/Echo", '"hello"', ['"hello"']),
        ("kratos.testing.Echo/Collect", '"a" "b"', ['"a', 'b"']),
        ("kratos.testing.Echo/Watch", '"a b"', ['"a"', '"b"']),
        ("kratos.testing.Echo/Chat", '"a" "b"', ['"a"', '"b"']),
        ("grpc.health.v1.Health/Check", "{}", ["{", '"status":', '"SERVING"', "}"]),
    ],
)
async def test_method_is_called(
    serve: Any, grpcurl: Path, health: Health, method: str, sent: str, replies: list[str]
) -> None:
    async with serve(EchoService(), health=health) as served:
        code, said = await run(grpcurl, "-d", sent, served.address, method)
    assert code == 0, said
    assert said.split() == replies


async def test_details_of_an_error_are_read(serve: Any, grpcurl: Path) -> None:
    async with serve(EchoService()) as served:
        method = "kratos.testing.Echo/Echo"
        code, said = await run(grpcurl, "-d", '"fail"', served.address, method)
    assert code != 0
    assert '"reason": "BUSY"' in said


async def test_files_of_the_definition_are_written(
    serve: Any, grpcurl: Path, tmp_path: Path
) -> None:
    async with serve(MetadataService([])) as served:
        out = ("-proto-out-dir", str(tmp_path))
        code, said = await run(grpcurl, *out, served.address, "describe", "kratos.api.Metadata")
    assert code == 0, said
    written = (tmp_path / "metadata" / "metadata.proto").read_text(encoding="utf-8")
    assert "repeated string services = 1;" in written
