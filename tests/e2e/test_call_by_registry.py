"""``kratos call`` finds an application by its name in a registry, over each transport."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kratos import App
from kratos.definition import MetadataService
from kratos.registry import from_url, instance_feed
from kratos.testing.app import running
from kratos_cli.main import main
from kratos_cli.proto import compile_protos
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

DEFINITION = """syntax = "proto3";
package lamps.v1;
import "google/api/annotations.proto";
service Lamps {
  rpc Light(Lamp) returns (Lamp) { option (google.api.http) = {get: "/v1/lamps/{name}"}; }
  rpc Blink(Lamp) returns (stream Lamp) { option (google.api.http) = {get: "/v1/blinks/{name}"}; }
}
message Lamp { string name = 1; }
"""
TRANSPORTS: list[tuple[str, list[str]]] = [("grpc", []), ("http", ["--transport", "http"])]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command line left behind."""

    status: int
    out: str
    err: str


Call = Callable[..., Awaitable[Ran]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Returns what runs ``kratos call`` in a thread, so that the servers' loop goes on."""

    async def ran(*words: str) -> Ran:
        capsys.readouterr()
        status = await asyncio.to_thread(main, ["call", *words])
        told = capsys.readouterr()
        return Ran(status=status, out=told.out, err=told.err)

    return ran


@pytest.fixture(scope="module")
def lamps(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service with rules of HTTP."""
    folder = tmp_path_factory.mktemp("lamps")
    definition = folder / "lamps/v1/lamps.proto"
    definition.parent.mkdir(parents=True)
    definition.write_text(DEFINITION)
    compile_protos([definition], roots=[folder], out=folder)
    sys.path.insert(0, str(folder))
    try:
        generated: Any = import_module("lamps.v1.lamps_kratos")
    finally:
        sys.path.remove(str(folder))

    class Lamps(generated.Lamps):  # type: ignore[misc]  # it is compiled above
        async def light(self, request: Any, /) -> Any:
            return request

        async def blink(self, request: Any, /) -> Any:
            yield request
            yield request

    return Lamps()


@pytest.fixture(
    params=[
        "file",
        pytest.param("etcd", marks=[pytest.mark.service("etcd"), pytest.mark.slow]),
        pytest.param("consul", marks=[pytest.mark.service("consul"), pytest.mark.slow]),
    ]
)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a registry."""
    if request.param == "file":
        return f"file://{tmp_path}"
    address = os.environ[f"KRATOS_TEST_{request.param.upper()}"]
    if address == "start":
        pytest.skip(f"only tests of kratos-{request.param} start one: give its address")
    return f"{request.param}://{address}"


def app_of(name: str, service: Any, registry: str, *servers: Any) -> App:
    services = [service]
    services.append(MetadataService(services))
    return App(name=name, services=services, servers=servers, registrar=registry, signals=())


async def passing(registry: str, name: str) -> None:
    """Wait until others find an application: Consul tells of it after its first heartbeat."""
    opened = from_url(registry)
    feed = instance_feed(opened, name)
    try:
        async with asyncio.timeout(10):
            async for instances in feed.values():
                if instances:
                    break
    finally:
        await feed.aclose()
        await opened.aclose()


async def test_application_is_found_by_its_name(lamps: Any, registry: str, call: Call) -> None:
    name = f"lamps-{uuid4().hex[:8]}"
    words = (f"discovery:///{name}", "--registry", registry)
    servers = GrpcServer("127.0.0.1:0"), HttpServer("127.0.0.1:0")
    async with running(app_of(name, lamps, registry, *servers)):
        await passing(registry, name)
        for transport, options in TRANSPORTS:
            listed = await call(*words, *options)
            assert "lamps.v1.Lamps" in listed.out.splitlines(), listed.err
            assert ("grpc.health.v1.Health" in listed.out) is (transport == "grpc")
            described = await call(*words, "Lamps", *options)
            assert "    GET /v1/lamps/{name}" in described.out.splitlines()
            lit = await call(*words, "Lamps/Light", '{"name": "x"}', *options, "--json")
            assert json.loads(lit.out) == {"name": "x"}
            blinks = await call(*words, "Blink", '{"name": "x"}', *options)
            assert [json.loads(line)["name"] for line in blinks.out.splitlines()] == ["x", "x"]
    gone = await call(*words)
    assert gone.status == 1
    assert "no instance" in gone.err


@pytest.mark.parametrize("server", [GrpcServer, HttpServer])
async def test_application_of_one_transport_needs_no_option(
    lamps: Any, registry: str, call: Call, server: Any
) -> None:
    name = f"lamps-{uuid4().hex[:8]}"
    async with running(app_of(name, lamps, registry, server("127.0.0.1:0"))):
        await passing(registry, name)
        lit = await call(
            f"discovery:///{name}", "Light", '{"name": "x"}', "--json", "--registry", registry
        )
    assert lit.status == 0, lit.err
    assert json.loads(lit.out) == {"name": "x"}
