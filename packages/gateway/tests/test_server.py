"""The gateway serves its configuration and its changes, and nobody who asks it sees the change."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trustme

from kratos.errors import ConfigError, StartupError
from kratos.metrics import MemoryMeter
from kratos.testing import FakeClock, LeakCheck
from kratos.tls import ServerTls
from kratos.transport import Endpointer, Mountable, Readying, Server, Shareable
from kratos.transport.http import Endpoint, Head, Reply, Wire
from kratos_gateway import Gateway
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.config import Configuration, Document, Documents
from kratos_gateway.metrics import Metrics
from kratos_gateway.switch import Switch
from kratos_http.testing import Http2Peer, SocketPeer, eventually

LOCAL = "127.0.0.1:0"


class Texts:
    def __init__(self, main: str) -> None:
        self.main = main
        self.told = asyncio.Event()

    async def read(self) -> Documents:
        return Documents(main=Document(name="config.yaml", content=self.main.encode()))

    async def changed(self) -> None:
        await self.told.wait()
        self.told.clear()

    async def aclose(self) -> None:
        """Nothing is held."""

    def say(self, text: str) -> None:
        self.main = text
        self.told.set()


class Named:
    """Answers with the name of its configuration; below ``/slow`` when it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.go = asyncio.Event()
        self.asked = 0
        self.drained: list[float] = []

    def route(self, head: Head, /) -> Endpoint:
        return _Whole(self) if head.path == b"/whole" else _Pieces(self)

    async def aclose(self, *, drain: float) -> None:
        self.drained.append(drain)

    async def say(self, head: Head) -> bytes:
        self.asked += 1
        if head.path.startswith(b"/slow"):
            await self.go.wait()
        return b"too late" if self.drained else self.name.encode()


class _Whole:
    max_body = 100

    def __init__(self, named: Named) -> None:
        self._named = named

    async def answer(self, head: Head, _body: bytes, /) -> Reply:
        return Reply(200, (), await self._named.say(head))


class _Pieces:
    def __init__(self, named: Named) -> None:
        self._named = named

    async def converse(self, head: Head, wire: Wire, /) -> None:
        text = await self._named.say(head)
        wire.start(200, [(b"content-length", b"%d" % len(text))])
        await wire.write(text)
        await wire.finish()


class Builder:
    def __init__(self) -> None:
        self.made: dict[str, Named] = {}

    async def __call__(self, config: pb.Gateway) -> Named:
        if config.name == "bad":
            raise ConfigError("no such middleware")
        made = self.made[config.name] = Named(config.name)
        return made


class Served:
    """A gateway that serves, and what it serves."""

    def __init__(self, gateway: Gateway, texts: Texts, builder: Builder, ports: list[int]) -> None:
        self.gateway = gateway
        self.texts = texts
        self.made = builder.made
        self.ports = ports
        self._peers: list[SocketPeer] = []

    async def connect(self, port: int = 0, tls: ssl.SSLContext | None = None) -> SocketPeer:
        peer = await SocketPeer.connect("127.0.0.1", port or self.ports[0], tls=tls)
        self._peers.append(peer)
        return peer

    @property
    def is_refused(self) -> bool:
        """Whether nobody listens any more."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports[0])) != 0

    async def change(self, text: str) -> None:
        """Change the configuration, and return when the new one is served."""
        before = self.gateway.serving
        self.texts.say(text)
        await eventually(lambda: self.gateway.serving is not before)

    async def aclose(self) -> None:
        for peer in self._peers:
            await peer.aclose()


def local(followed: Configuration, build: Builder) -> Gateway:
    return Gateway(followed, build, addresses=[LOCAL])


@asynccontextmanager
async def running(
    text: str = "name: first", *, make: Callable[[Configuration, Builder], Gateway] | None = None
) -> AsyncGenerator[Served]:
    texts, builder = Texts(text), Builder()
    configuration = Configuration(texts, environ={})
    gateway = (make or local)(configuration, builder)
    urls = await gateway.bind()
    task = asyncio.create_task(gateway.start())
    async with asyncio.timeout(10):
        await gateway.ready()
    served = Served(gateway, texts, builder, [int(url.rpartition(":")[2]) for url in urls])
    try:
        yield served
    finally:
        await served.aclose()
        await gateway.stop()
        async with asyncio.timeout(10):
            await task


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with running() as made:
        yield made


async def ask(peer: SocketPeer, path: str = "/") -> bytes:
    answer = await peer.request("GET", path)
    return answer.body


def test_the_gateway_is_what_an_application_asks_for() -> None:
    gateway = Gateway(Configuration(Texts("{}")), Builder())
    for protocol in (Server, Mountable, Endpointer, Readying, Shareable):
        assert isinstance(gateway, protocol)


async def test_the_first_configuration_is_served(served: Served) -> None:
    assert await ask(await served.connect()) == b"first"
    assert served.gateway.in_force == pb.Gateway(name="first")


async def test_a_change_is_served_on_connections_that_are_open(served: Served) -> None:
    peer = await served.connect()
    assert await ask(peer) == b"first"
    await served.change("name: second")
    assert await ask(peer) == b"second"
    assert await ask(peer, "/whole") == b"second"


async def test_what_was_served_is_closed_after_its_last_request(served: Served) -> None:
    peer = await served.connect()
    asked = asyncio.create_task(ask(peer, "/slow"))
    first = served.made["first"]
    await eventually(lambda: first.asked)
    await served.change("name: second")
    assert await ask(await served.connect()) == b"second"
    assert first.drained == []
    first.go.set()
    assert await asked == b"first"
    await eventually(lambda: first.drained)
    assert len(first.drained) == 1
    assert 0 < first.drained[0] <= 120


async def test_a_request_that_waits_for_its_turn_is_answered_by_whom_it_came_to(
    served: Served,
) -> None:
    peer = await served.connect()
    first = served.made["first"]
    await peer.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(lambda: first.asked)
    await served.change("name: second")
    first.go.set()
    assert (await peer.answer()).body == b"first"
    assert (await peer.answer()).body == b"first"
    await eventually(lambda: first.drained)


async def test_a_whole_body_that_is_still_coming_keeps_what_it_came_to(served: Served) -> None:
    peer = await served.connect()
    await peer.send(b"POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    other = await served.connect()
    await ask(other)  # by then the head has come
    await served.change("name: second")
    await ask(other)
    await peer.send(b"cd")
    assert (await peer.answer()).body == b"first"
    await eventually(lambda: served.made["first"].drained)


async def test_streams_of_one_connection_of_http2_are_answered_by_whom_they_came_to(
    served: Served,
) -> None:
    peer = await Http2Peer.connect("127.0.0.1", served.ports[0])
    first = served.made["first"]
    slow = asyncio.create_task(peer.request("GET", "/slow"))
    await eventually(lambda: first.asked)
    await served.change("name: second")
    assert (await peer.request("GET", "/whole")).body == b"second"
    assert first.drained == []
    first.go.set()
    assert (await slow).body == b"first"
    await eventually(lambda: first.drained)
    await peer.aclose()


async def test_who_takes_too_long_after_a_change_is_cut_off() -> None:
    clock = FakeClock()
    switch = Switch({}, clock=clock)
    first = Named("first")
    switch.replace(first)
    held = switch.route(Head("GET", b"/slow", b"", []))
    before = switch.replace(Named("second"))
    assert before is not None
    retiring = asyncio.create_task(switch.retire(before, drain=120.0))
    await clock.advance(119.0)
    assert first.drained == []
    await clock.advance(1.0)
    await retiring
    assert first.drained == [0.0]
    del held


async def test_what_nobody_asks_any_more_is_closed_at_once() -> None:
    clock = FakeClock()
    switch = Switch({}, clock=clock)
    first = Named("first")
    switch.replace(first)
    held = switch.route(Head("GET", b"/", b"", []))
    before = switch.replace(Named("second"))
    assert before is not None
    retiring = asyncio.create_task(switch.retire(before, drain=120.0))
    await clock.advance(20.0)
    del held
    await retiring
    assert first.drained == [100.0]


async def test_a_change_that_cannot_be_served_changes_nothing() -> None:
    meter = MemoryMeter()

    def make(followed: Configuration, build: Builder) -> Gateway:
        return Gateway(followed, build, addresses=[LOCAL], metrics=Metrics(meter))

    async with running(make=make) as served:
        served.texts.say("name: bad")
        counted = "kratos_gateway_reloads_total"
        await eventually(lambda: meter.value(counted, success="false"))
        assert await ask(await served.connect()) == b"first"
        assert meter.value(counted, success="true") == 1
        assert served.made["first"].drained == []


async def test_no_request_fails_while_the_configuration_changes(served: Served) -> None:
    done = asyncio.Event()
    answers: list[bytes] = []

    async def keep_asking() -> None:
        peer = await served.connect()
        while not done.is_set():
            answers.append(await ask(peer, "/whole" if len(answers) % 2 else "/"))

    asking = [asyncio.create_task(keep_asking()) for _ in range(4)]
    for number in range(20):
        name = f"number-{number}"
        await served.change(f"name: {name}")
        await eventually(partial(answers.__contains__, name.encode()))
    done.set()
    await asyncio.gather(*asking)
    assert b"too late" not in answers
    assert answers[-1] == b"number-19"


async def test_a_start_that_cannot_serve_anything_fails_and_leaves_its_address() -> None:
    builder = Builder()
    gateway = Gateway(Configuration(Texts("name: bad")), builder, addresses=[LOCAL])
    (url,) = await gateway.bind()
    with pytest.raises(ConfigError, match="no such middleware"):
        await gateway.start()
    again = Gateway(Configuration(Texts("{}")), builder, addresses=[url.removeprefix("http://")])
    await again.bind()
    await again.stop()


async def test_a_stop_ends_a_start_that_waits() -> None:
    waiting = asyncio.Event()

    async def build(_config: pb.Gateway) -> Named:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError

    gateway = Gateway(Configuration(Texts("{}")), build, addresses=[LOCAL])
    task = asyncio.create_task(gateway.start())
    await waiting.wait()
    async with asyncio.timeout(10):
        await gateway.stop()
        await task


async def test_a_stop_before_the_start_leaves_nothing_to_do() -> None:
    builder = Builder()
    gateway = Gateway(Configuration(Texts("{}")), builder, addresses=[LOCAL])
    await gateway.bind()
    await gateway.stop()
    async with asyncio.timeout(10):
        await gateway.start()
    assert builder.made == {}


async def test_nothing_is_left_of_a_gateway_that_has_changed() -> None:
    check = LeakCheck()
    async with running() as served:
        for number in range(10):
            await served.change(f"name: number-{number}")
            assert await ask(await served.connect()) == f"number-{number}".encode()
    await check.nothing_left()
    assert all(each.drained for each in served.made.values())


async def test_several_addresses_serve_the_same() -> None:
    def make(followed: Configuration, build: Builder) -> Gateway:
        return Gateway(followed, build, addresses=[LOCAL, LOCAL])

    async with running(make=make) as served:
        first, second = served.ports
        assert first != second
        for port in served.ports:
            assert await ask(await served.connect(port)) == b"first"


async def test_an_address_that_is_taken_is_named_and_the_others_are_left(served: Served) -> None:
    taken = f"127.0.0.1:{served.ports[0]}"
    other = Gateway(Configuration(Texts("{}")), Builder(), addresses=[LOCAL, taken])
    with pytest.raises(StartupError, match=taken):
        await other.bind()


async def test_a_stop_lets_a_request_end(served: Served) -> None:
    peer = await served.connect()
    asked = asyncio.create_task(ask(peer, "/slow"))
    first = served.made["first"]
    await eventually(lambda: first.asked)
    stopping = asyncio.create_task(served.gateway.stop())
    await eventually(lambda: served.is_refused)
    assert not stopping.done()
    first.go.set()
    assert await asked == b"first"
    await stopping


async def test_what_is_served_is_closed_at_the_end() -> None:
    async with running() as served:
        first = served.made["first"]
        await served.change("name: second")
        second = served.made["second"]
    assert len(first.drained) == 1
    assert second.drained == [0.0]
    assert served.gateway.serving is None


async def test_a_start_that_is_cancelled_gives_everything_back() -> None:
    builder = Builder()
    gateway = Gateway(Configuration(Texts("name: first")), builder, addresses=[LOCAL])
    (url,) = await gateway.bind()
    task = asyncio.create_task(gateway.start())
    await gateway.ready()
    peer = await SocketPeer.connect("127.0.0.1", int(url.rpartition(":")[2]))
    asked = asyncio.create_task(ask(peer, "/slow"))
    await eventually(lambda: builder.made["first"].asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionError):
        await asked
    await peer.aclose()
    assert builder.made["first"].drained == [0.0]


async def test_tls_is_served() -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    tls = ServerTls(
        certificate=b"".join(each.bytes() for each in certificate.cert_chain_pems),
        key=certificate.private_key_pem.bytes(),
    )
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=authority.cert_pem.bytes().decode())

    def make(followed: Configuration, build: Builder) -> Gateway:
        return Gateway(followed, build, addresses=[LOCAL], tls=tls)

    async with running(make=make) as served:
        assert await ask(await served.connect(tls=context)) == b"first"


async def test_metrics_are_shown_to_who_asks_directly_as_by_go() -> None:
    meter = MemoryMeter()

    def make(followed: Configuration, build: Builder) -> Gateway:
        metrics = Metrics(meter)
        return Gateway(followed, build, addresses=[LOCAL], metrics=metrics, shown=meter)

    async with running(make=make) as served:
        peer = await served.connect()
        answer = await peer.request("GET", "/metrics")
        assert answer.status == 200
        assert b'kratos_gateway_reloads_total{success="true"} 1.0\n' in answer.body
        proxied = [("X-Forwarded-For", "192.0.2.1")]
        refused = await peer.request("GET", "/metrics", headers=proxied)
        assert (refused.status, refused.body) == (403, b"Forbidden\n")


@pytest.mark.parametrize("path", ["//metrics", "/%6detrics", "/x/../metrics", "/./metrics"])
async def test_no_spelling_of_metrics_gets_to_an_endpoint(path: str) -> None:
    def make(followed: Configuration, build: Builder) -> Gateway:
        return Gateway(followed, build, addresses=[LOCAL], shown=MemoryMeter())

    async with running(make=make) as served:
        proxied = [("X-Forwarded-For", "192.0.2.1")]
        answer = await (await served.connect()).request("GET", path, headers=proxied)
        assert (answer.status, answer.body) == (403, b"Forbidden\n")


async def test_without_a_meter_the_path_of_metrics_is_like_any_other(served: Served) -> None:
    assert await ask(await served.connect(), "/metrics") == b"first"


@pytest.mark.parametrize("addresses", [[], ":8080"])
def test_addresses_that_are_no_list_are_refused(addresses: list[str]) -> None:
    with pytest.raises(ConfigError, match="addresses is a list"):
        Gateway(Configuration(Texts("{}")), Builder(), addresses=addresses)
