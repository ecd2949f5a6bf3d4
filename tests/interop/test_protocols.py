"""What peers of Go find on a server beside its services: ``kratos.api.Metadata``, JSON, gzip."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.building import built_of

from kratos import App
from kratos.definition import MetadataService
from kratos.testing.echo import EchoService
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

pytestmark = [pytest.mark.go, pytest.mark.slow]

HERE = Path(__file__).parent / "protocols"
SERVICES = ["kratos.api.Metadata", "kratos.testing.Echo"]


@pytest.fixture(scope="session")
def program() -> Path:
    """Path of the program, built at most once; see protocols/main.go for what it does."""
    return built_of("protocols", *HERE.iterdir())


@pytest.fixture
async def addresses(engine: Any) -> AsyncIterator[dict[str, str]]:
    """Addresses of a running service by transport."""
    echo = EchoService()
    app = App(
        name="protocols",
        services=[echo, MetadataService([echo])],
        servers=[
            GrpcServer("127.0.0.1:0", compression="gzip", engine=engine),
            HttpServer("127.0.0.1:0"),
        ],
    )
    serving = asyncio.create_task(app.run())
    await app.ready()
    yield dict(endpoint.split("://") for endpoint in app.endpoints)
    app.stop()
    await serving


async def call(program: Path, case: str, address: str) -> tuple[int | None, str]:
    """Run the program, and return what it ended with and what it said."""
    process = await asyncio.create_subprocess_exec(
        program, case, address, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def reply(program: Path, case: str, address: str) -> Any:
    code, said = await call(program, case, address)
    assert code == 0, said
    return json.loads(said)


@pytest.mark.parametrize(
    ("transport", "case"), [("grpc", "list"), ("grpc", "json-list"), ("http", "http-list")]
)
async def test_client_of_go_lists_services(
    program: Path, addresses: dict[str, str], transport: str, case: str
) -> None:
    found = await reply(program, case, addresses[transport])
    assert found["services"] == SERVICES
    assert "/kratos.api.Metadata/GetServiceDesc" in found["methods"]
    assert len(found["methods"]) == 6


@pytest.mark.parametrize(
    ("transport", "case"),
    [
        ("grpc", "describe"),
        ("grpc", "json-describe"),
        ("grpc", "packed"),
        ("grpc", "json-packed"),
        ("http", "http-describe"),
    ],
)
async def test_client_of_go_is_told_how_a_service_is_defined(
    program: Path, addresses: dict[str, str], transport: str, case: str
) -> None:
    found = await reply(program, case, addresses[transport])
    descriptor, metadata = found["fileDescSet"]["file"]
    assert descriptor["name"] == "google/protobuf/descriptor.proto"
    assert (metadata["name"], metadata["package"]) == ("metadata/metadata.proto", "kratos.api")
    assert len(metadata["service"][0]["method"]) == 2


async def test_error_in_json_is_the_same_error(program: Path, addresses: dict[str, str]) -> None:
    code, said = await call(program, "json-missing", addresses["grpc"])
    assert code != 0
    assert "code = NotFound desc = service no.Such not found" in said


async def test_client_of_go_asks_for_health_in_json(
    program: Path, addresses: dict[str, str]
) -> None:
    assert await reply(program, "json-health", addresses["grpc"]) == {"status": "SERVING"}


async def test_text_alone_is_a_message_in_json(program: Path, addresses: dict[str, str]) -> None:
    assert await reply(program, "json-text", addresses["grpc"]) == "hello"


@pytest.mark.parametrize("case", ["json-stream", "packed-stream"])
async def test_client_of_go_converses_over_a_stream(
    program: Path, addresses: dict[str, str], case: str
) -> None:
    found = await reply(program, case, addresses["grpc"])
    names = [each["name"] for each in found["listServicesResponse"]["service"]]
    assert names[-2:] == SERVICES
