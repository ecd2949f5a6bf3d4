"""What is counted of routes for people goes on where the configuration changes."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kratos import App
from kratos.testing import running
from kratos.transport.http import Head, Wire
from kratos_gateway.assembly import assemble
from kratos_gateway.backend import NodeRecords
from kratos_gateway.proxy import Proxy, Tallies
from kratos_gateway.settings import Settings
from kratos_gateway.testing import Backend, backend, config_of, say
from kratos_http.testing import SocketPeer

NOBODY = [{"target": "127.0.0.1:1"}]


async def hello(head: Head, wire: Wire) -> None:
    await say(wire, 500 if head.path.endswith(b"/bad") else 200)


def counts(proxy: object) -> list[tuple[int, int]]:
    assert isinstance(proxy, Proxy)
    return [(each["requests"], each["failures"]) for each in proxy.show()]


def attempts(proxy: object) -> list[dict[str, int]]:
    assert isinstance(proxy, Proxy)
    return [{each["address"]: each["attempts"] for each in it["nodes"]} for it in proxy.show()]


class Served:
    """A gateway, as the command puts it together, whose configuration is told it."""

    def __init__(self, node: Backend, peer: SocketPeer, apply: Callable[..., Awaitable[None]],
                 serving: Callable[[], object]) -> None:  # fmt: skip
        self.ask = peer.request
        self.serving = serving
        self._address = node.address
        self._apply = apply

    def to(self, path: str, **more: Any) -> dict[str, Any]:
        return {"path": path, "timeout": "30s", "backends": [{"target": self._address}], **more}

    async def apply(self, *endpoints: dict[str, Any]) -> object:
        await self._apply(config_of(*endpoints))
        return self.serving()


@asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[Served]:
    path = folder / "config.yaml"
    path.write_text("name: shop", encoding="utf-8")
    settings = Settings(conf=str(path), addresses=["127.0.0.1:0"], dial_timeout=5.0)
    gateway = assemble(settings, environ={}).gateway
    async with backend(hello) as node, running(App(name="gw", servers=[gateway])) as app:
        peer = await SocketPeer.connect("127.0.0.1", int(app.endpoints[0].rpartition(":")[2]))
        try:
            yield Served(node, peer, gateway.apply, lambda: gateway.serving)
        finally:
            await peer.aclose()


async def test_route_that_stays_keeps_its_counts_wherever_it_stands(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        await it.apply(it.to("/a/*"), it.to("/b/*"))
        for target in ("/a/1", "/a/bad", "/b/1"):
            await it.ask("GET", target)
        now = await it.apply(it.to("/new/*"), it.to("/a/*", timeout="9s"), it.to("/b/*"))
        assert counts(now) == [(0, 0), (2, 1), (1, 0)]
        await it.ask("GET", "/a/1")
        assert counts(now) == [(0, 0), (3, 1), (1, 0)]


async def test_node_that_stays_keeps_its_counts_and_another_has_none(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        route = it.to("/a/*")
        (before,) = attempts(await it.apply(route))
        assert list(before.values()) == [0]
        await it.ask("GET", "/a/1")
        now = await it.apply({**route, "backends": [*NOBODY, *route["backends"]]})
        assert attempts(now) == [{"127.0.0.1:1": 0, **dict.fromkeys(before, 1)}]


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/a/b/*"},
        {"method": "GET"},
        {"host": "shop.example"},
        {"match": [{"header": "x-canary"}]},
        {"percentage": 10},
    ],
)
async def test_route_that_differs_begins_at_nothing(tmp_path: Path, other: dict[str, Any]) -> None:
    async with served(tmp_path) as it:
        await it.apply(it.to("/a/*"))
        await it.ask("GET", "/a/1")
        assert counts(await it.apply({**it.to("/a/*"), **other})) == [(0, 0)]


async def test_request_of_the_configuration_before_is_counted_when_it_ends() -> None:
    tallies = Tallies()
    (endpoint,) = config_of({"path": "/a", "backends": NOBODY}).endpoints
    before, after = tallies.begin()(endpoint), tallies.begin()(endpoint)
    before.add(200, 0.5)
    assert (after.requests, after.seconds) == (1, 0.5)


def test_routes_that_are_alike_in_all_have_counts_of_their_own() -> None:
    tallies = Tallies()
    route = {"path": "/a", "percentage": 10, "backends": NOBODY}
    first, second = config_of(route, route).endpoints
    of = tallies.begin()
    one, two = of(first), of(second)
    assert one is not two
    again = tallies.begin()
    assert again(first) is one
    assert again(second) is two


def test_route_that_nothing_serves_any_more_is_forgotten() -> None:
    tallies = Tallies()
    (endpoint,) = config_of({"path": "/a", "backends": NOBODY}).endpoints
    tally = tallies.begin()(endpoint)
    tally.add(200, 0.5)
    del tally
    gc.collect()
    assert tallies.begin()(endpoint).requests == 0


def test_nodes_that_an_older_configuration_names_take_no_counts_away() -> None:
    records = NodeRecords()
    older = records.take(["a", "b"], {})
    newer = records.take(["b", "c"], {})
    newer["c"].attempts = 7
    records.take(["a", "b"], older)  # a registry has told the one that ends of a change, too
    assert records.take(["b", "c"], newer) == newer
    assert newer["c"].attempts == 7
