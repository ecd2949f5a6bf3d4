"""What Go's gateway shows under /debug is shown on a listener of its own, without secrets."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kratos import App
from kratos.metrics import MemoryMeter
from kratos.testing import running
from kratos.transport.http import Endpoint, Head, Reply
from kratos_gateway import Gateway
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.config import Configuration, FileReader, parse
from kratos_gateway.control import ControlService, Identity
from kratos_gateway.debug import pages
from kratos_gateway.gates import Gates
from kratos_gateway.hiding import shown
from kratos_gateway.release import ConfigFiles
from kratos_http.debug import DebugServer
from kratos_http.testing import Answer, SocketPeer

TYPE = "type.googleapis.com/gateway.middleware."
CONFIG = """
name: gw
version: v7
tlsStore:
  inner: {key: "-----BEGIN PRIVATE KEY-----", serverName: inner}
endpoints:
  - {path: /helloworld/*, host: localhost, backends: [{target: '127.0.0.1:80'}]}
  - {path: '/a.b/{name}/{id:[0-9]{2}}', method: get}
"""


class Nothing:
    """Serves nothing, and knows the instances of one service."""

    max_body = 0

    def route(self, _head: Head, /) -> Endpoint:
        return self

    async def answer(self, _head: Head, _body: bytes, /) -> Reply:
        return Reply(404)

    async def aclose(self, *, drain: float) -> None:
        """Nothing is held."""

    def watched(self, service: str, /) -> Sequence[object] | None:
        return [{"id": "one"}] if service == "shop" else None

    def appliers(self, service: str, /) -> Sequence[str] | None:
        return ["GET /shop"] if service == "shop" else None


async def build(_config: pb.Gateway) -> Nothing:
    return Nothing()


class Debugged:
    def __init__(self, peer: SocketPeer, path: Path) -> None:
        self.path = path
        self._peer = peer

    async def ask(self, path: str, verb: str = "GET") -> Answer:
        await self._peer.send(f"{verb} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return await self._peer.answer()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "config.yaml"
    made.write_text(CONFIG, encoding="utf-8")
    return made


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@asynccontextmanager
async def debugged(
    path: Path, control: ControlService | None = None, *, shown: MemoryMeter | None = None
) -> AsyncGenerator[Debugged]:
    gateway = Gateway(
        Configuration(FileReader(path)), build, addresses=["127.0.0.1:0"], shown=shown
    )
    debug = DebugServer(pages=pages(gateway, control))
    async with running(App(name="gw", servers=[gateway, debug])):
        peer = await SocketPeer.connect("127.0.0.1", int(debug.url.rpartition(":")[2]))
        try:
            yield Debugged(peer, path)
        finally:
            await peer.aclose()


async def test_somebody_is_there(path: Path) -> None:
    async with debugged(path) as process:
        answer = await process.ask("/debug/ping")
    assert (answer.status, answer.body) == (200, b"")


async def test_routes_are_shown_as_by_go(path: Path) -> None:
    async with debugged(path) as process:
        first, second = (await process.ask("/debug/proxy/router/inspect")).json()
    assert first == {
        "path_template": "/helloworld/",
        "path_regexp": "^/helloworld/",
        "queries_templates": [],
        "queries_regexps": [],
        "methods": None,
    }
    assert second["path_regexp"] == r"^/a\.b/(?P<v0>[^/]+)/(?P<v1>[0-9]{2})$"
    assert second["methods"] == ["GET", "OPTIONS"]


async def test_metrics_on_the_addresses_of_clients_are_the_first_route(path: Path) -> None:
    async with debugged(path, shown=MemoryMeter()) as process:
        first, *_ = (await process.ask("/debug/proxy/router/inspect")).json()
    assert (first["path_template"], first["path_regexp"]) == ("/metrics", "^/metrics$")


async def test_routes_are_quoted_in_the_spelling_of_go(path: Path) -> None:
    write(path, "endpoints: [{path: '/a-b/[x]+~ü.'}]")
    async with debugged(path) as process:
        (only,) = (await process.ask("/debug/proxy/router/inspect")).json()
    assert only["path_regexp"] == r"^/a-b/\[x\]\+~ü\.$"


@pytest.fixture
def conditional(path: Path) -> Path:
    """A configuration whose last endpoint is asked first."""
    more = "percentage: 10, match: [{header: x-canary, exact: '1'}], priority: 3"
    text = f"{CONFIG}  - {{path: /c, {more}, redirect: {{https: true}}}}\n"
    path.write_text(text, encoding="utf-8")
    return path


async def test_what_go_does_not_have_of_a_route_is_shown_as_well(conditional: Path) -> None:
    async with debugged(conditional) as process:
        first, second, _ = (await process.ask("/debug/proxy/router/inspect")).json()
    assert first["path_template"] == "/c"
    assert first["match"] == [{"header": "x-canary", "exact": "1"}]
    assert (first["percentage"], first["priority"]) == (10, 3)
    assert first["redirect"] == {"https": True}
    assert second["path_template"] == "/helloworld/"


async def test_the_place_of_the_configuration_is_shown(path: Path) -> None:
    async with debugged(path) as process:
        shown = (await process.ask("/debug/config/inspect")).json()
    assert shown["confPath"] == str(path)
    assert len(shown["confSha256"]) == 64


async def test_the_configuration_is_read_anew_and_shown_without_keys(path: Path) -> None:
    async with debugged(path) as process:
        process.path.write_text(CONFIG.replace("v7", "v8"), encoding="utf-8")
        answer = await process.ask("/debug/config/load")
        version = (await process.ask("/debug/config/version")).json()
    assert answer.json()["version"] == "v8"
    assert answer.json()["tlsStore"]["inner"] == {"key": "***", "serverName": "inner"}
    assert b"BEGIN" not in answer.body
    assert version == {"version": "v7"}


async def test_a_configuration_that_cannot_be_read_says_why(path: Path) -> None:
    async with debugged(path) as process:
        process.path.write_text("name: [", encoding="utf-8")
        answer = await process.ask("/debug/config/load")
    assert answer.status == 503
    assert answer.json()["message"].startswith("config.yaml: line ")


async def test_instances_of_a_service_are_shown_and_null_for_unknown_ones(path: Path) -> None:
    async with debugged(path) as process:
        nodes = (await process.ask("/debug/watcher/nodes?service=shop")).json()
        appliers = (await process.ask("/debug/watcher/appliers?service=shop")).json()
        unknown = (await process.ask("/debug/watcher/nodes?service=other")).json()
        missing = await process.ask("/debug/watcher/nodes")
    assert nodes == [{"id": "one"}]
    assert appliers == ["GET /shop"]
    assert unknown is None
    assert missing.status == 400


async def test_pages_of_profiles_lead_to_those_of_python(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = "consul://127.0.0.1:8500?token=hidden"
    monkeypatch.setattr(sys, "argv", ["kratos-gateway", "--discovery.dsn", dsn])
    async with debugged(path) as process:
        index = await process.ask("/debug/pprof")
        command = await process.ask("/debug/pprof/cmdline")
    assert b"/debug/profile" in index.body
    assert command.body.startswith(b"kratos-gateway\0--discovery.dsn\0consul://127.0.0.1:8500")
    assert b"hidden" not in command.body


async def test_the_control_service_is_shown_and_asked_by_post_alone(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    control = ControlService(
        ["http://127.0.0.1:1"],
        identity=Identity("gw", "192.0.2.1"),
        files=ConfigFiles(path),
        gates=Gates(),
    )
    async with debugged(path, control) as process:
        shown = (await process.ask("/debug/ctrl/inspect")).json()
        refused = await process.ask("/debug/ctrl/load")
        asked = await process.ask("/debug/ctrl/load", verb="POST")
    await control.aclose()
    assert shown["ctrl_service"] == ["http://127.0.0.1:1"]
    assert shown["advertise_addr"] == "192.0.2.1"
    assert refused.status == 405
    assert (asked.status, asked.json()) == (200, {})
    assert "control service http://127.0.0.1:1: " in caplog.text


async def test_without_a_control_service_there_is_no_page_about_one(path: Path) -> None:
    async with debugged(path) as process:
        assert (await process.ask("/debug/ctrl/inspect")).status == 404


def test_headers_that_a_configuration_writes_are_shown_without_what_lets_somebody_in() -> None:
    headers = [{"key": "Set-Cookie", "value": ["a=secret"]}, {"key": "X-Kind", "value": ["plain"]}]
    answer = {
        "@type": f"{TYPE}circuitbreaker.v1.CircuitBreaker",
        "responseData": {"header": headers},
    }
    given = {"X-Inner-Key": "secret", "Authorization": "secret", "X-Kind": "plain"}
    policy = {"@type": f"{TYPE}rewrite.v1.Rewrite", "requestHeadersRewrite": {"set": given}}
    chain = [{"name": "circuitbreaker", "options": answer}, {"name": "rewrite", "options": policy}]
    text = json.dumps(shown(parse(json.dumps({"middlewares": chain}))))
    assert "secret" not in text
    assert text.count("plain") == 2
    assert "Set-Cookie" in text


def test_conditions_are_shown_without_what_lets_somebody_in() -> None:
    match = [
        {"header": "x-origin-verify", "exact": "secret"},
        {"cookie": "session-token", "regex": "secret"},
        {"query": "api_key", "prefix": "secret", "invert": True},
        {"header": "x-kind", "exact": "plain"},
    ]
    endpoint = {"path": "/", "match": match, "backends": [{"target": "127.0.0.1:1"}]}
    text = json.dumps(shown(parse(json.dumps({"endpoints": [endpoint]}))))
    assert "secret" not in text
    assert ("plain" in text, "x-origin-verify" in text, "api_key" in text) == (True, True, True)
