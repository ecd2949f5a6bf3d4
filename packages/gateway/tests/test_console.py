"""The console shows what there is, to whom it may, and changes nothing."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kratos import App
from kratos.errors import ConfigError
from kratos.testing import running
from kratos.testing.clock import FakeClock
from kratos.transport.http import Head, Wire
from kratos_gateway import Gateway
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.backend import ConnectOptions
from kratos_gateway.config import Configuration, FileReader
from kratos_gateway.console import console, signpost
from kratos_gateway.proxy import Proxy
from kratos_gateway.testing import backend, say
from kratos_http.debug import DebugServer
from kratos_http.testing import Answer, SocketPeer

CONFIG = """
name: <b>shop</b>
version: v7
tlsStore:
  inner: {{key: "-----BEGIN PRIVATE KEY-----", serverName: inner}}
endpoints:
  - {{path: /a/*, timeout: 5s, backends: [{{target: '{one}'}}]}}
  - {{path: '/<script>', method: get, timeout: 5s, backends: [{{target: '127.0.0.1:1'}}]}}
"""


OTHER = "  - path: /other/{}\n    backends: [{{{{target: '127.0.0.1:1'}}}}]\n"
REFUSED = "refused by the build"


async def build(config: pb.Gateway) -> Proxy:
    if config.name == REFUSED:
        raise ConfigError("it is not wanted")
    del config.tls_store["inner"]  # it is none that could be used
    return await Proxy.opened(config, connect=ConnectOptions(dial_timeout=5.0))


class Seen:
    """A gateway and its console."""

    def __init__(self, path: Path, gateway: SocketPeer, debug: SocketPeer) -> None:
        self.path = path
        self.gateway = gateway
        self._debug = debug

    async def ask(
        self, path: str = "/debug/console", *, verb: str = "GET", **headers: str
    ) -> Answer:
        lines = [f"{verb} {path} HTTP/1.1", "Host: localhost", "Content-Length: 0"]
        lines += (f"{name}: {value}" for name, value in headers.items())
        await self._debug.send("\r\n".join([*lines, "", ""]).encode())
        return await self._debug.answer(verb)

    def rewrite(self, old: str, new: str) -> None:
        """Put other words in the text of the configuration."""
        text = self.path.read_text(encoding="utf-8")
        self.path.write_text(text.replace(old, new), encoding="utf-8")

    async def data(self) -> Any:
        return (await self.ask("/debug/console.json")).json()


async def hello(head: Head, wire: Wire) -> None:
    await say(wire, 500 if head.path == b"/a/bad" else 200, b"hello")


@asynccontextmanager
async def seen(
    folder: Path, *, token: str = "", clock: Any = None, config: str = CONFIG, more: str = ""
) -> AsyncGenerator[Seen]:
    async with backend(hello) as node:
        path = folder / "config.yaml"
        path.write_text(config.format(one=node.address) + more, encoding="utf-8")
        gateway = Gateway(Configuration(FileReader(path)), build, addresses=["127.0.0.1:0"])
        pages = console(gateway, token=token, clock=clock or FakeClock())
        debug = DebugServer(pages=pages)
        async with running(App(name="gw", servers=[gateway, debug])) as app:
            peers = [
                await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
                for url in (app.endpoints[0], debug.url)
            ]
            try:
                yield Seen(path, *peers)
            finally:
                for peer in peers:
                    await peer.aclose()


async def test_routes_traffic_and_nodes_are_shown(tmp_path: Path) -> None:
    async with seen(tmp_path) as it:
        for target in ("/a/1", "/a/2", "/a/bad"):
            await it.gateway.request("GET", target)
        assert (await it.gateway.request("GET", "/%3Cscript%3E")).status == 502
        found = await it.data()
    first, second = found["endpoints"]
    assert (found["name"], found["version"]) == ("<b>shop</b>", "v7")
    assert (first["method"], first["path"], first["requests"]) == ("*", "/a/*", 3)
    assert first["failures"] == 1
    assert first["meanSeconds"] > 0
    (node,) = first["nodes"]
    assert (node["state"], node["attempts"], node["failures"]) == ("good", 3, 0)
    (node,) = second["nodes"]
    assert (node["address"], node["state"], node["failures"]) == ("127.0.0.1:1", "failing", 1)
    assert "Errno 111" in node["failure"]
    assert second["failures"] == 1


async def test_conditions_and_answers_of_the_gateway_are_shown(tmp_path: Path) -> None:
    more = (
        "  - {path: /c, match: [{header: x-canary, exact: <1>}], percentage: 10,\n"
        "     backends: [{target: '127.0.0.1:1'}]}\n"
        "  - {path: /d, respond: {status: 410}}\n"
    )
    async with seen(tmp_path, more=more) as it:
        *_, third, fourth = (await it.data())["endpoints"]
        page = (await it.ask()).body.decode()
    assert third["conditions"] == ["header x-canary is '<1>'", "10 %"]
    assert fourth["conditions"] == ["answers 410"]
    assert "header x-canary is &#x27;&lt;1&gt;&#x27;, 10 %" in page
    assert page.count("no node") == 0


async def test_rates_are_those_since_the_last_look(tmp_path: Path) -> None:
    clock = FakeClock()
    async with seen(tmp_path, clock=clock) as it:
        assert (await it.data())["endpoints"][0]["perSecond"] is None
        for _ in range(6):
            await it.gateway.request("GET", "/a/1")
        await clock.advance(2.0)
        assert (await it.data())["endpoints"][0]["perSecond"] == 3.0
        await clock.advance(2.0)
        assert (await it.data())["endpoints"][0]["perSecond"] == 0.0


async def test_what_is_written_by_others_is_text(tmp_path: Path) -> None:
    async with seen(tmp_path) as it:
        answer = await it.ask()
    page = answer.body.decode()
    assert answer.header("content-type") == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.header("content-security-policy")
    assert "&lt;b&gt;shop&lt;/b&gt; v7" in page
    assert "/&lt;script&gt;" in page
    assert "<script" not in page
    assert "<b>" not in page


async def test_a_change_is_shown_before_it_is_served_and_without_secrets(tmp_path: Path) -> None:
    clock = FakeClock()
    async with seen(tmp_path, clock=clock) as it:
        it.rewrite("timeout: 5s", "timeout: 5x")
        await clock.advance(60.0)
        refused = (await it.data())["change"]["refused"]
        page = (await it.ask()).body.decode()
    assert 'endpoints[0].timeout: "5x" is no duration' in refused
    assert "What is written is refused: " in page
    assert "BEGIN PRIVATE" not in page


async def test_lines_that_differ_are_shown(tmp_path: Path) -> None:
    async with seen(tmp_path) as it:
        it.rewrite("name: <b>shop</b>", f"name: {REFUSED}")
        lines = (await it.data())["change"]["lines"]
    assert lines[:2] == ["--- served", "+++ written"]
    assert f'+  "name": "{REFUSED}",' in lines
    # What ``build`` took away is what is written, and not served.
    assert any(line.startswith("+") and "inner" in line for line in lines)
    assert not any("BEGIN PRIVATE" in line for line in lines)


async def test_texts_that_are_served_are_not_read_again(tmp_path: Path) -> None:
    async with seen(tmp_path) as it:
        assert (await it.data())["change"] == {"refused": "", "lines": []}


async def test_of_thousands_of_lines_that_differ_some_are_shown(tmp_path: Path) -> None:
    async with seen(tmp_path) as it:
        more = "".join(f"  - {{path: '/more/{number}'}}\n" for number in range(3000))
        it.rewrite("endpoints:\n", f"endpoints:\n{more}")
        it.rewrite("name: <b>shop</b>", f"name: {REFUSED}")
        *lines, last = (await it.data())["change"]["lines"]
    assert len(lines) == 500
    assert last.startswith("... and ")


async def test_of_thousands_of_routes_those_are_shown_that_have_most_to_tell(
    tmp_path: Path,
) -> None:
    others = "".join(OTHER.format(number) for number in range(1000))
    config = CONFIG.replace("endpoints:\n", f"endpoints:\n{others}")
    async with seen(tmp_path, config=config) as it:
        await it.gateway.request("GET", "/a/1")
        page = (await it.ask()).body.decode()
        assert len((await it.data())["endpoints"]) == 1002
    assert page.count("<code>/other/") == 199
    assert page.index("<code>/other/") < page.index("<code>/a/*</code>")  # in their order
    assert "802 more, which have done less" in page


async def test_characters_that_hide_others_are_shown_as_what_they_are(tmp_path: Path) -> None:
    config = CONFIG.replace("/<script>", "/\u202egnp.exe")
    async with seen(tmp_path, config=config) as it:
        page = (await it.ask()).body.decode()
    assert "/\\u202egnp.exe" in page
    assert "\u202e" not in page


async def test_with_a_token_people_have_to_know_it(tmp_path: Path) -> None:
    def basic(text: str) -> str:
        return f"Basic {b64encode(text.encode()).decode()}"

    async with seen(tmp_path, token="sesame") as it:
        for headers in ({}, {"Authorization": basic("me:guess")}, {"Authorization": "Basic ?"},
                        {"Authorization": "Bearer sesame"}):  # fmt: skip
            for path in ("/debug/console", "/debug/console.json"):
                answer = await it.ask(path, **headers)
                assert answer.status == 401
                assert answer.header("www-authenticate").startswith("Basic ")
                assert b"shop" not in answer.body
                assert b"token" in answer.body  # for who closes the question
        assert (await it.ask(Authorization=basic("anybody:sesame"))).status == 200


async def test_nothing_can_be_changed(tmp_path: Path) -> None:
    async with seen(tmp_path) as it:
        for verb in ("POST", "PUT", "DELETE"):
            assert (await it.ask(verb=verb)).status == 405


@asynccontextmanager
async def signed(first: str, *, workers: int, token: str = "") -> AsyncGenerator[SocketPeer]:
    debug = DebugServer(pages=signpost(first, workers=workers, token=token))
    async with running(App(name="gw", servers=[debug])):
        peer = await SocketPeer.connect("127.0.0.1", int(debug.url.rpartition(":")[2]))
        try:
            yield peer
        finally:
            await peer.aclose()


async def look(
    peer: SocketPeer, *headers: str, path: str = "/debug/console", host: str = "localhost:7070"
) -> Answer:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    await peer.send("\r\n".join(lines).encode())
    return await peer.answer()


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("localhost:7070", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:7070", "[::1]"),
        ("[::1]", "[::1]"),
    ],
)
async def test_with_workers_it_is_told_where_each_of_them_has_its_console(
    host: str, shown: str
) -> None:
    async with signed(":7071", workers=2) as peer:
        page = await look(peer, host=host)
        data = await look(peer, host=host, path="/debug/console.json")
    places = [f"http://{shown}:{port}/debug/console" for port in (7071, 7072)]
    assert page.header("content-type") == "text/plain; charset=utf-8"
    assert page.header("cache-control") == "no-store"
    assert page.body.decode().split()[-2:] == places
    assert data.json() == {"workers": places}


async def test_on_sockets_of_unix_the_files_of_workers_are_told() -> None:
    async with signed("unix:/run/gateway.sock", workers=2) as peer:
        lines = (await look(peer)).body.decode().splitlines()
    assert lines[-2:] == [f"unix:/run/gateway.sock.{slot} /debug/console" for slot in (0, 1)]


async def test_where_the_system_chooses_ports_of_workers_the_log_is_named() -> None:
    async with signed("127.0.0.1:0", workers=2) as peer:
        assert b"first line in the log" in (await look(peer)).body


async def test_where_the_consoles_are_is_for_who_may_see_them() -> None:
    async with signed(":7071", workers=2, token="s3cret") as peer:
        given = f"Authorization: Basic {b64encode(b'any:s3cret').decode()}"
        for path in ("/debug/console", "/debug/console.json"):
            refused = await look(peer, path=path)
            assert (refused.status, b"7071" in refused.body) == (401, False)
            assert (await look(peer, given, path=path)).status == 200
        assert (await look(peer, given, host="evil.example")).status == 403
