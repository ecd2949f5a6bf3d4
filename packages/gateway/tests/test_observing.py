"""What the proxy tells of requests."""

from __future__ import annotations

import asyncio
from typing import Any

from kratos.metrics import Counter, MemoryMeter
from kratos.transport.http import Head, Wire
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.testing import backend, proxied, say
from kratos_http.testing import eventually


class Series:
    """Remembers everything; of all endpoints and methods in one."""

    def __init__(self) -> None:
        meter = MemoryMeter()
        self._meter = meter
        self.sent: Counter = meter.counter("sent")
        self.received: Counter = meter.counter("received")
        self.answers: list[tuple[str, str, int]] = []
        self.tries: list[str] = []
        self.redirects: list[str] = []
        self.seconds: list[float] = []
        self._path = self._method = ""

    def endpoint(self, endpoint: Endpoint, /) -> Series:
        return self._at(path=endpoint.path)

    def nowhere(self, path: str, /) -> Series:
        return self._at(path=path)

    def of(self, method: str, /) -> Series:
        return self._at(method=method)

    def answered(self, code: int, seconds: float, /) -> None:
        self.answers.append((self._path, self._method, code))
        self.seconds.append(seconds)

    def retried(self, success: str, /) -> None:
        self.tries.append(success)

    def redirected(self) -> None:
        self.redirects.append(self._path)

    def bytes(self) -> tuple[float, float]:
        return self._meter.value("received"), self._meter.value("sent")

    def _at(self, *, path: str = "", method: str = "") -> Series:
        other = object.__new__(Series)
        other.__dict__.update(self.__dict__)
        other._path, other._method = path or self._path, method or self._method
        return other


def to(address: str, **more: Any) -> dict[str, Any]:
    return {"path": "/a/*", "timeout": "5s", "backends": [{"target": address}], **more}


async def test_each_request_is_counted_once_by_its_pattern_and_status() -> None:
    series = Series()

    async def script(head: Head, wire: Wire) -> None:
        await say(wire, 404 if head.path == b"/a/none" else 200, b"12345")

    async with (
        backend(script) as node,
        proxied(to(node.address, method="POST"), metrics=series) as gateway,
    ):
        peer = await gateway.connect()
        await peer.request("POST", "/a/x", body=b"123")
        await peer.request("POST", "/a/none")
        await peer.request("GET", "/a/x")
        await peer.request("GET", "/b")
        await peer.request("GET", "/%")
    assert series.answers == [
        ("/a/*", "POST", 200),
        ("/a/*", "POST", 404),
        ("/405", "GET", 405),
        ("/404", "GET", 404),
        ("/400", "GET", 400),
    ]
    assert series.bytes() == (3, 10)
    assert all(0 <= seconds < 5 for seconds in series.seconds)


async def test_answers_that_lead_elsewhere_are_counted() -> None:
    series = Series()

    async def script(_head: Head, wire: Wire) -> None:
        await say(wire, 302, b"", ("location", "/b"))

    async with backend(script) as node, proxied(to(node.address), metrics=series) as gateway:
        await (await gateway.connect()).request("GET", "/a/x")
    assert series.redirects == ["/a/*"]


async def test_bodies_in_pieces_are_counted_too() -> None:
    series = Series()

    async def script(_head: Head, wire: Wire) -> None:
        while await wire.read():
            pass
        wire.start(200, [])
        for _ in range(3):
            await wire.write(b"x" * 50_000)
        await wire.finish()

    async with backend(script) as node, proxied(to(node.address), metrics=series) as gateway:
        await (await gateway.connect()).request("PUT", "/a/x", body=b"x" * 100_000)
    assert series.bytes() == (100_000, 150_000)


async def test_further_attempts_are_counted_by_their_success() -> None:
    series = Series()
    statuses = iter([503, 200, 503, 503])

    async def script(_head: Head, wire: Wire) -> None:
        await say(wire, next(statuses))

    retry = {"attempts": 2, "conditions": [{"byStatusCode": "503"}]}
    async with (
        backend(script) as node,
        proxied(to(node.address, retry=retry), metrics=series) as gateway,
    ):
        peer = await gateway.connect()
        for _ in range(2):
            await peer.request("GET", "/a/x")
    assert series.tries == ["true", "false"]
    assert series.answers == [("/a/*", "GET", 200), ("/a/*", "GET", 503)]


async def test_a_client_that_has_gone_counts_as_499() -> None:
    series = Series()
    arrived = asyncio.Event()

    async def script(_head: Head, _wire: Wire) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with backend(script) as node, proxied(to(node.address), metrics=series) as gateway:
        peer = await gateway.connect()
        await peer.send(b"GET /a/x HTTP/1.1\r\nHost: test\r\n\r\n")
        await arrived.wait()
        peer.reset()
        await eventually(lambda: series.answers)
    assert series.answers == [("/a/*", "GET", 499)]
