"""Redirects of back ends that are followed, and those that are not, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from kratos.errors import ConfigError
from kratos.metrics import MemoryMeter
from kratos.transport.http import Head, Wire
from kratos_gateway.backend import Redirects
from kratos_gateway.metrics import Metrics
from kratos_gateway.testing import Backend, Proxied, backend, proxied, say

PIECE = b"x" * 50_000


def to(*nodes: Backend, **more: Any) -> dict[str, Any]:
    targets = [{"target": node.address} for node in nodes]
    given = {"path": "/*", "protocol": "HTTP", "timeout": "10s", "backends": targets}
    return {**given, **more}


class Site:
    """Answers each path as it was told; else with what it was asked.

    Attributes:
        led: Status and place by path.
        bodies: Of the requests that came.
    """

    def __init__(self) -> None:
        self.led: dict[bytes, tuple[int, str]] = {}
        self.bodies: list[bytes] = []

    async def __call__(self, head: Head, wire: Wire) -> None:
        found = self.led.get(head.path)
        if found is None:
            self.bodies.append(await say(wire, 200, b"%b %b" % (head.method.encode(), head.path)))
        else:
            status, place = found
            self.bodies.append(await say(wire, status, b"moved", ("location", place)))


class Followed:
    """A gateway that follows redirects, its back end, and another host."""

    def __init__(self, gateway: Proxied, node: Backend, other: Backend, meter: MemoryMeter) -> None:
        self.gateway = gateway
        self.node = node
        self.other = other
        self.meter = meter
        assert isinstance(node.script, Site)
        assert isinstance(other.script, Site)
        self.site = node.script
        self.elsewhere = other.script

    def counted(self) -> float:
        """Return how many redirects were counted."""
        labels = {"protocol": "HTTP", "method": "", "path": "/*", "service": "", "basePath": ""}
        return self.meter.value("go_gateway_client_redirect_total", **labels)


@asynccontextmanager
async def followed(*, named: bool = False, **more: Any) -> AsyncGenerator[Followed]:
    meter = MemoryMeter()
    async with AsyncExitStack() as stack:
        node, other = [await stack.enter_async_context(backend(Site())) for _ in range(2)]
        redirects = more.pop("redirects", Redirects([other.address] if named else ()))
        gateway = await stack.enter_async_context(
            proxied(to(node, **more), redirects=redirects, metrics=Metrics(meter))
        )
        yield Followed(gateway, node, other, meter)


@pytest.mark.parametrize(
    "place", ["/end?q=2", "end?q=2", "./x/../end?q=2", "http://{node}/end?q=2"]
)
async def test_a_redirect_to_the_node_is_followed(place: str) -> None:
    async with followed() as it:
        it.site.led[b"/a"] = (302, place.replace("{node}", it.node.address))
        answer = await (await it.gateway.connect()).request("GET", "/a?q=1")
        assert (answer.status, answer.body) == (200, b"GET /end")
        assert it.node.heads[-1].query == b"q=2"
        assert it.counted() == 1


async def test_the_node_is_asked_by_the_name_of_the_client_again() -> None:
    async with followed() as it:
        it.site.led[b"/a"] = (302, "/end")
        await (await it.gateway.connect()).request("GET", "/a", headers=[("Cookie", "a=b")])
        assert (it.node.header("host"), it.node.header("cookie")) == ("test", "a=b")


async def test_a_redirect_to_another_node_of_the_endpoint_is_followed() -> None:
    async with backend(Site()) as first, backend(Site()) as second:
        for one, two in ((first, second), (second, first)):
            assert isinstance(one.script, Site)
            one.script.led[b"/a"] = (307, f"http://{two.address}/end")
        async with proxied(to(first, second), redirects=Redirects()) as gateway:
            answer = await (await gateway.connect()).request("PUT", "/a", body=b"told")
            assert answer.body == b"PUT /end"
            assert sorted(len(each.heads) for each in (first, second)) == [1, 1]


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        (301, "POST", "GET", b""),
        (302, "PUT", "GET", b""),
        (303, "DELETE", "GET", b""),
        (303, "GET", "GET", b""),
        (307, "POST", "POST", b"body"),
        (308, "PUT", "PUT", b"body"),
    ],
)
async def test_methods_and_bodies_are_those_of_gos_client(
    status: int, method: str, then: str, body: bytes
) -> None:
    async with followed() as it:
        it.site.led[b"/a"] = (status, "/end")
        headers = [("Content-Type", "text/x")]
        peer = await it.gateway.connect()
        answer = await peer.request(method, "/a", headers=headers, body=b"body")
        assert answer.body == b"%b /end" % then.encode()
        assert it.site.bodies == [b"body", body]
        assert it.node.header("content-type") == ("text/x" if body else "")


async def test_head_stays_head() -> None:
    async with followed() as it:
        it.site.led[b"/a"] = (303, "/end")
        answer = await (await it.gateway.connect()).request("HEAD", "/a")
        assert (answer.status, answer.body) == (200, b"")
        assert [head.method for head in it.node.heads] == ["HEAD", "HEAD"]


@pytest.mark.parametrize("sent", [b"", b"chunked"])
async def test_a_longer_body_is_sent_again_as_far_as_it_is_kept(sent: bytes) -> None:
    async with followed() as it:
        it.site.led[b"/a"] = (307, "/end")
        peer = await it.gateway.connect()
        body = PIECE * 4
        if sent:
            await peer.send(b"PUT /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(4):
                await peer.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            await peer.send(b"0\r\n\r\n")
            answer = await peer.answer("PUT")
        else:
            answer = await peer.request("PUT", "/a", body=body)
        assert (answer.status, answer.body) == (200, b"PUT /end")
        assert it.site.bodies == [body, body]


async def test_a_body_that_cannot_be_sent_again_leaves_the_redirect_to_the_client() -> None:
    async with followed() as it:
        it.site.led[b"/a"] = (307, "/end")
        peer = await it.gateway.connect()
        answer = await peer.request("PUT", "/a", body=b"x" * (1024 * 1024 + 1))
        assert (answer.status, answer.body) == (307, b"moved")
        assert answer.header("location") == "/end"


@pytest.mark.parametrize(
    "place",
    [
        "http://{other}/end",
        "//{other}/end",
        "https://{node}/end",  # the node speaks no TLS
        "http://user:word@{node}/end",
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data/",
        "ftp://{node}/end",
        "file:///etc/passwd",
        "http://[::1/end",
        "http://{node}0/end",
        "http://\\{node}/",
    ],
)
async def test_what_leads_to_no_node_is_left_to_the_client(place: str) -> None:
    async with followed() as it:
        place = place.replace("{other}", it.other.address).replace("{node}", it.node.address)
        it.site.led[b"/a"] = (302, place)
        answer = await (await it.gateway.connect()).request("GET", "/a")
        assert (answer.status, answer.header("location")) == (302, place)
        assert (len(it.node.heads), len(it.other.heads), it.counted()) == (1, 0, 1)


SECRETS = [
    ("Authorization", "Bearer t"),
    ("Cookie", "a=b"),
    ("X-Api-Key", "k"),
    ("Accept", "text/x"),
]


@pytest.mark.parametrize("everywhere", [True, False])
async def test_a_host_that_is_named_is_asked_and_not_told_who_asks(*, everywhere: bool) -> None:
    # Those of "named" are given where there are no others.
    others = {"redirects": Redirects(None)} if everywhere else {}
    async with followed(named=True, **others) as it:
        it.site.led[b"/a"] = (307, f"http://{it.other.address}/end")
        peer = await it.gateway.connect()
        answer = await peer.request("POST", "/a", headers=SECRETS, body=b"body")
        assert (answer.status, answer.body) == (200, b"POST /end")
        assert it.elsewhere.bodies == [b"body"]
        assert {name for name, _ in it.other.heads[0].headers} == {
            b"host",
            b"accept",
            b"content-length",
        }
        assert it.other.header("host") == it.other.address


async def test_what_was_left_out_for_another_host_stays_out() -> None:
    async with followed(named=True) as it:
        it.site.led[b"/a"] = (302, f"http://{it.other.address}/b")
        it.elsewhere.led[b"/b"] = (302, "/c")
        it.elsewhere.led[b"/c"] = (302, f"http://{it.node.address}/end")
        answer = await (await it.gateway.connect()).request("GET", "/a", headers=SECRETS)
        assert answer.body == b"GET /end"
        assert (it.node.header("authorization"), it.node.header("accept")) == ("", "text/x")
        assert it.counted() == 3


async def test_a_long_answer_of_another_host_comes_as_a_whole() -> None:
    async def long(_head: Head, wire: Wire) -> None:
        while await wire.read():
            continue
        wire.start(200, [])
        for _ in range(20):
            await wire.write(PIECE)
        await wire.finish()

    async with followed(named=True) as it:
        it.other.script = long
        it.site.led[b"/a"] = (302, f"http://{it.other.address}/end")
        answer = await (await it.gateway.connect()).request("GET", "/a")
        assert answer.body == PIECE * 20


async def test_a_host_that_is_named_and_not_there_is_a_back_end_that_is_not_there() -> None:
    async with followed(redirects=Redirects(["127.0.0.1:1"])) as it:
        it.site.led[b"/a"] = (302, "http://127.0.0.1:1/")
        assert (await (await it.gateway.connect()).request("GET", "/a")).status == 502


async def test_ten_redirects_are_followed_and_no_more() -> None:
    async with followed() as it:
        for number in range(11):
            it.site.led[b"/%d" % number] = (302, f"/{number + 1}")
        peer = await it.gateway.connect()
        answer = await peer.request("GET", "/1")
        assert (answer.status, answer.body) == (200, b"GET /11")
        assert it.counted() == 10
        assert (await peer.request("GET", "/0")).status == 502
        assert it.counted() == 21
        assert len(it.node.heads) == 22


async def test_a_chain_takes_no_longer_than_the_endpoint_may() -> None:
    release = asyncio.Event()

    async def slow(head: Head, wire: Wire) -> None:
        if head.path == b"/end":
            await release.wait()
        await say(wire, 302, b"", ("location", "/end"))

    async with followed(timeout="0.2s") as it:
        it.node.script = slow
        assert (await (await it.gateway.connect()).request("GET", "/a")).status == 504
        release.set()


@pytest.mark.parametrize(("status", "place"), [(304, "/end"), (300, "/end"), (302, "")])
async def test_what_is_no_redirect_is_passed_on(status: int, place: str) -> None:
    async with followed() as it:
        it.site.led[b"/a"] = (status, place)

        async def bare(_head: Head, wire: Wire) -> None:
            await say(wire, status, b"", *([("location", place)] if place else []))

        it.node.script = bare
        assert (await (await it.gateway.connect()).request("GET", "/a")).status == status
        assert (len(it.node.heads), it.counted()) == (1, 0)


async def test_redirects_that_are_not_followed_are_counted_as_in_go() -> None:
    async with followed(redirects=None) as it:
        it.site.led[b"/a"] = (302, "/end")
        answer = await (await it.gateway.connect()).request("GET", "/a")
        assert (answer.status, answer.header("location")) == (302, "/end")
        assert it.counted() == 1


@pytest.mark.parametrize(
    ("named", "host", "port", "secure", "allowed"),
    [
        (["a.test"], "a.test", 80, False, True),
        (["A.test"], "a.test", 443, True, True),
        (["a.test"], "a.test", 443, False, False),
        (["a.test"], "a.test", 8080, False, False),
        (["a.test:8080"], "a.test", 8080, True, True),
        (["a.test:8080"], "a.test", 80, False, False),
        (["a.test"], "b.a.test", 80, False, False),
        (["[::1]:80"], "::1", 80, False, True),
        (["[::1]"], "::1", 443, True, True),
        ([], "a.test", 80, False, False),
        (None, "a.test", 8080, False, True),
    ],
)
def test_hosts_are_named_with_their_port_or_have_the_usual_one(
    named: list[str] | None, host: str, port: int, *, secure: bool, allowed: bool
) -> None:
    assert Redirects(named).allow(host, port, secure=secure) == allowed


@pytest.mark.parametrize("host", ["", "http://a", "a/b", "a:x", "a:99999", "u@a", "a?b", "[::1"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="is no host"):
        Redirects([host])
