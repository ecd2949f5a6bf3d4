"""Errors with details between Go and Python: what each makes of the other's."""

from __future__ import annotations

import asyncio
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, Client
from kratos.errors import Error, FieldViolation, bad_request
from kratos.testing.app import running
from kratos.testing.echo import ECHO, EchoService, text
from kratos_grpc import GrpcConnector, GrpcServer
from kratos_http import HttpServer

LocalizedMessage: Any = import_module("google.rpc.error_details_pb2").LocalizedMessage

pytestmark = [pytest.mark.go, pytest.mark.slow]

STRANGER = AnyMessage(type_url="example.com/shop.v9.Unheard", value=b"\xff\x00")


class Refusing(EchoService):
    """Refuses with details, one of which nobody knows."""

    async def echo(self, request: StringValue, /) -> StringValue:
        error = bad_request("INVALID", "not like that", {"k": "v"}).with_detail(STRANGER)
        raise error.with_field_violations(FieldViolation("email", "is no address"))


async def seen_by_go(program: Path, transport: str, engine: Any = "grpcio") -> dict[str, Any]:
    """Return what a client in Go makes of the error."""
    server: Any = HttpServer("127.0.0.1:0")
    if transport == "grpc":
        server = GrpcServer("127.0.0.1:0", engine=engine)
    app = App(name="books", services=[Refusing()], servers=[server], signals=())
    async with running(app):
        process = await asyncio.create_subprocess_exec(
            program,
            "client",
            transport,
            app.endpoints[0].partition("://")[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    told: dict[str, Any] = json.loads(out)
    return told


@pytest.mark.parametrize("transport", ["http", "grpc"])
async def test_details_change_nothing_that_kratos_of_go_reads(
    go_details: Path, transport: str
) -> None:
    told = await seen_by_go(go_details, transport)
    assert (told["code"], told["reason"], told["message"]) == (400, "INVALID", "not like that")
    assert told["metadata"] == {"k": "v"}


async def test_go_reads_field_violations_over_grpc(go_details: Path, engine: Any) -> None:
    told = await seen_by_go(go_details, "grpc", engine)
    assert told["fields"] == {"email": "is no address"}
    assert told["details"][0] == "*errdetails.ErrorInfo"
    assert told["details"][-1] == "*errdetails.BadRequest"


async def test_details_of_a_service_in_go_are_read(go_details: Path, engine: Any) -> None:
    process = await asyncio.create_subprocess_exec(
        go_details, "server", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().strip()
    connector = GrpcConnector(engine=engine)
    async with Client(f"grpc://{address}", transport=connector, timeout=10.0) as caller:
        with pytest.raises(Error) as failure:
            await caller.unary(ECHO, text("x"))
    process.stdin.close()
    assert await process.wait() == 0
    error = failure.value
    assert (error.code, error.reason, error.message) == (400, "INVALID", "not like that")
    assert error.metadata == {"k": "v"}
    assert error.field_violations == (FieldViolation("email", "is no address"),)
    assert error.detail(LocalizedMessage) == LocalizedMessage(locale="de", message="so nicht")
