"""Called alike, both come up alike: files, folders, gates, control services, pages, signals."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.interop.gateway.beside import BOTH, OURS, Both, Running, running, unused_port
from tests.interop.gateway.node import Message, Node, node

pytestmark = [
    pytest.mark.go,
    pytest.mark.slow,
    pytest.mark.outside("KRATOS_GO_GATEWAY_SRC", "Go's gateway"),
]

Start = Callable[..., AbstractContextManager[Both]]

PATIENCE = 60.0  # seconds; both look at files every 5
CONFIG = """
name: both
version: v7
hosts: [ignored]
unknown: {keys: [are, passed, over]}
tls_store: {inner: {insecure: true, serverName: inner}}
endpoints:
  - path: /first/*
    method: get
    host: '{x:[a-z]+}.example'
    timeout: 1.5s
    protocol: HTTP
    backends: [{target: '%(node)s', weight: "3", metadata: {a: b}}]
    retry:
      attempts: 3
      per_try_timeout: 0.25s
      conditions: [{by_status_code: 502-504}, {byHeader: {name: Grpc-Status, value: '14'}}]
  - {path: '/item/{id:[0-9]{2}}/{name}', protocol: 2, backends: [{target: '%(node)s'}]}
  - {path: '/odd-[x]+.', method: '*', backends: [{target: '%(node)s'}]}
  - {path: /again, timeout: 60s, backends: [{target: '%(node)s'}], retry: {attempts: 3,
     conditions: [{byStatusCode: '503'}]}}
"""


def pages(both: Both, path: str) -> tuple[Any, Any]:
    """Return the JSON at a path of both."""
    found = [both.by_name[name].get(path, port=both.by_name[name].debug) for name in BOTH]
    assert [each.line for each in found] == ["HTTP/1.1 200 OK"] * 2
    assert [each.header("content-type") for each in found] == ["application/json"] * 2
    go, ours = (json.loads(each.body) for each in found)
    return go, ours


def test_pages_for_debugging_tell_the_same(started: Start) -> None:
    with started(CONFIG, "-debug") as both:
        for path in (
            "/debug/proxy/router/inspect",
            "/debug/config/version",
            "/debug/watcher/nodes?service=x",
            "/debug/watcher/appliers?service=x",
        ):
            go, ours = pages(both, path)
            assert go == ours, path
        go, ours = pages(both, "/debug/config/load")
        assert go == ours
        assert go["endpoints"][0]["retry"]["conditions"][1] == {
            "byHeader": {"name": "Grpc-Status", "value": "14"}
        }
        go, ours = pages(both, "/debug/config/inspect")
        assert {**go, "confPath": ""} == {**ours, "confPath": ""}
        for name in BOTH:
            each = both.by_name[name]
            assert each.get("/debug/ping", port=each.debug).line == "HTTP/1.1 200 OK"
            assert each.get("/debug/nothing", port=each.debug).line == "HTTP/1.1 404 Not Found"


@pytest.mark.parametrize("file", ["cmd/gateway/config.yaml", "config/fixtures/config.yaml"])
def test_configurations_of_go_are_read_as_go_reads_them(
    started: Start, go_source: Path, file: str
) -> None:
    text = (go_source / file).read_text(encoding="utf-8")
    with started(text.replace("%", "%%"), "-debug") as both:
        for path in ("/debug/config/load", "/debug/proxy/router/inspect"):
            go, ours = pages(both, path)
            assert go == ours
    assert "helloworld" in text


def test_a_gate_stops_further_attempts(started: Start) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n"
    with started(CONFIG, "-feature-gates", "gw:Retry=false") as both:
        both.ask(b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n", busy)
        assert [len(both.requests[name]) for name in BOTH] == [1, 1]
    with started(CONFIG, "--feature-gates=gw:Retry=true") as both:
        both.ask(b"GET /again HTTP/1.1\r\nHost: x\r\n\r\n", busy)
        assert [len(both.requests[name]) for name in BOTH] == [3, 3]


def test_last_slashes_are_redirected_alike_where_they_count(started: Start) -> None:
    environment = {"ENABLE_STRICT_SLASH": "true"}
    with started(CONFIG, environment=environment) as both:
        for target in ("/again/", "/again/?x=1", "/item/12/x/", "/nowhere/", "//again/"):
            found = both.ask(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            # Go has a page for who does not follow.
            assert found <= {
                "answer body",
                *(f"answer header content-{name}" for name in ("type", "length")),
            }, target
            assert both.requests == {"go": [], "kratos": []}


def answers(both: Both, target: str) -> list[bytes]:
    return [both.by_name[name].get(target).body for name in BOTH]


def becomes(both: Both, target: str, body: bytes) -> None:
    """Wait until both answer so."""
    until = time.monotonic() + PATIENCE
    while (found := answers(both, target)) != [body, body]:
        assert time.monotonic() < until, found
        time.sleep(0.2)


MAIN = """
name: both
endpoints:
  - {path: /a, timeout: 60s, backends: [{target: '%(node)s'}], middlewares: [%(old)s]}
  - {path: /b, timeout: 60s, backends: [{target: '%(node)s'}], middlewares: [%(old)s]}
"""


def saying(text: str) -> str:
    """Return middleware that sends a path back in place of the one that was asked for."""
    kind = "type.googleapis.com/gateway.middleware.rewrite.v1.Rewrite"
    return f"{{name: rewrite, options: {{'@type': {kind}, pathRewrite: /{text}}}}}"


def echo(message: Message) -> bytes:
    path = message.line.split(" ")[1]
    lines = ["HTTP/1.1 200 OK", "Content-Type: a/b", f"Content-Length: {len(path)}", "", path]
    return "\r\n".join(lines).encode()


def own(both: Both, each: Running) -> Path:
    return each.log.parent


def test_files_of_a_folder_come_first_and_changes_are_heard_of(
    go_gateway: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "conf"
    (folder / "canary").mkdir(parents=True)
    with node() as behind:
        behind.answer = echo
        names = {"node": behind.address, "old": saying("old")}
        (folder / "config.yaml").write_text(MAIN % names, encoding="utf-8")
        first = f"endpoints: [{{path: /a, timeout: 60s, backends: [{{target: '{behind.address}'}}]"
        (folder / "canary" / "one.yaml").write_text(
            f"name: one\n{first}, middlewares: [{saying('one')}]}}]", encoding="utf-8"
        )
        (folder / "canary" / "two.yml").write_text("not: [read", encoding="utf-8")
        words = ("-conf", "{folder}/config.yaml", "-conf.priority", "{folder}/canary", "-debug")
        with running(go_gateway, behind, folder, words) as both:
            assert answers(both, "/a") == [b"/one"] * 2
            assert answers(both, "/b") == [b"/old"] * 2
            go, ours = pages(both, "/debug/config/inspect")
            assert go["priorityConfigHash"] == ours["priorityConfigHash"]
            assert list(go["priorityConfigHash"]) == ["one.yaml"]

            for each in both.by_name.values():
                (own(both, each) / "canary" / "one.yaml").unlink()
            becomes(both, "/a", b"/old")

            for each in both.by_name.values():
                (own(both, each) / "config.yaml").write_text("endpoints: [broken", encoding="utf-8")
            assert answers(both, "/b") == [b"/old"] * 2
            for each in both.by_name.values():
                text = MAIN % {**names, "old": saying("new")}
                (own(both, each) / "config.yaml").write_text(text, encoding="utf-8")
            becomes(both, "/b", b"/new")


class Control:
    """A control service with one release, which it keeps apart for either by its path."""

    def __init__(self, config: dict[str, Any], priority: dict[str, Any]) -> None:
        self.seen: dict[str, list[str]] = {name: [] for name in BOTH}
        self._release = {
            "config": json.dumps(config),
            "version": "r1",
            "priorityConfigs": [{"key": "canary", "config": json.dumps(priority), "version": "p1"}],
        }

    def __call__(self, message: Message) -> bytes:
        method, target, _ = message.line.split(" ")
        name, _, rest = target.removeprefix("/").partition("/")
        query = dict(parse_qsl(urlsplit(rest).query, keep_blank_values=True))
        self.seen[name].append(f"{method} /{rest}")
        if "/features" in rest:
            return _json({"gateway": "gw", "features": {"gw:Retry": False, "no such": True}})
        if query.get("last_version") == "r1":
            return b"HTTP/1.1 304 Not Modified\r\n\r\n"
        return _json(self._release)


def _json(value: object) -> bytes:
    body = json.dumps(value).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return (head % len(body)).encode() + body


def _endpoint(path: str, target: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "timeout": "60s", "backends": [{"target": target}], **more}


def test_a_control_service_is_asked_and_obeyed_alike(go_gateway: Path, tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    (folder / "canary").mkdir(parents=True)
    (folder / "config.yaml").write_text("name: local", encoding="utf-8")
    with node() as behind, node() as service:
        again = {"attempts": 3, "conditions": [{"byStatusCode": "503"}]}
        released = [_endpoint("/released", behind.address, retry=again)]
        priority = {"name": "canary", "endpoints": [_endpoint("/canary", behind.address)]}
        control = Control({"name": "gw", "version": "v9", "endpoints": released}, priority)
        service.answer = control
        words = [
            *("-conf", "{folder}/config.yaml", "-conf.priority", "{folder}/canary", "-debug"),
            *("-ctrl.service", f"http://{service.address}/{{name}}", "-ctrl.name", "gw"),
            *("-feature-gates", "gw:PriorityConfig=true"),
        ]
        environment = {"ADVERTISE_ADDR": "10.1.2.3"}
        with running(go_gateway, behind, folder, words, environment=environment) as both:
            busy = b"HTTP/1.1 503 Busy\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n"
            assert both.ask(b"GET /released HTTP/1.1\r\nHost: x\r\n\r\n", busy) <= {
                *("request header user-agent", "request header x-forwarded-host"),
                "request header x-forwarded-proto",
            }
            assert [len(both.requests[name]) for name in BOTH] == [1, 1]  # by the gate
            behind.play(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nok")
            assert answers(both, "/canary") == [b"ok"] * 2
            go, ours = pages(both, "/debug/config/load")
            assert go == ours
            assert go["version"] == "v9"
            go, ours = pages(both, "/debug/ctrl/inspect")
            assert go.keys() == ours.keys()
            until = time.monotonic() + PATIENCE
            while min(len(seen) for seen in control.seen.values()) < 4:
                assert time.monotonic() < until, control.seen
                time.sleep(0.1)
            # Both ask for releases and features in turn; which comes first is their own affair.
            kinds = [{_known(each) for each in control.seen[name]} for name in BOTH]
            assert kinds[0] == kinds[1]
            for each in both.by_name.values():
                kept = own(both, each)
                assert json.loads(_as_json(kept / "config.yaml"))["version"] == "v9"
                assert [file.name for file in (kept / "canary").iterdir()] == ["canary.yaml"]


def _known(asked: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return what was asked for, with the parameters in any order."""
    url = urlsplit(asked)
    return url.path, frozenset(parse_qsl(url.query, keep_blank_values=True))


def _as_json(path: Path) -> str:
    import yaml

    return json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_without_discovery_what_needs_one_is_refused_in_words_and_no_crash(
    go_gateway: Path, tmp_path: Path
) -> None:
    text = "endpoints: [{path: /a, protocol: HTTP, backends: [{target: 'discovery:///x'}]}]"
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    go, ours = (
        subprocess.run(
            [str(program), "-conf", str(file), "-addr", f"127.0.0.1:{unused_port()}"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        for program in (go_gateway, OURS)
    )
    assert go.returncode
    assert "nil pointer dereference" in go.stderr
    assert ours.returncode
    assert "endpoints[0]" in ours.stderr
    assert "-discovery.dsn" in ours.stderr
    assert "Traceback" not in ours.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_signals_let_a_request_under_way_end(started: Start, number: signal.Signals) -> None:
    with started(MAIN.replace("%(old)s", "")) as both:
        for each in both.by_name.values():
            held = Held(both.node, each, number)
            assert held.answer.body == b"late"
            assert each.process.wait(PATIENCE) == 0


class Held:
    """A request during which the gateway is told to stop."""

    def __init__(self, behind: Node, gateway: Running, number: signal.Signals) -> None:
        def stop(_: Message) -> bytes:
            gateway.process.send_signal(number)
            return b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 4\r\n\r\nlate"

        behind.answer = stop
        self.answer = gateway.get("/a")
