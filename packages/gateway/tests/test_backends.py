"""Which nodes an endpoint has, which one gets a request, and how it is reached."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import cycle
from typing import Any

import pytest
import trustme

from kratos.errors import ConfigError
from kratos.registry import ServiceInstance
from kratos.registry.memory import MemoryRegistry
from kratos.selector import RandomChoice
from kratos.tls import ServerTls
from kratos.transport.http import Head, Wire
from kratos.transport.listening import place_of
from kratos_gateway.api.gateway_pb2 import Backend, Endpoint
from kratos_gateway.backend import Client
from kratos_gateway.backend.connections import ConnectOptions
from kratos_gateway.backend.http1_node import Http1Node
from kratos_gateway.backend.http2_node import Http2Node
from kratos_gateway.backend.targets import target_of
from kratos_gateway.exchange import Answer, Handler, Request, RequestOptions
from kratos_gateway.proxy import Proxy
from kratos_gateway.testing import Backend as Backing
from kratos_gateway.testing import backend, config_of, proxied, say
from kratos_http.http2 import Dialer
from kratos_http.limits import Limits
from kratos_http.listening import Engine, Listening, Place
from kratos_http.testing import SocketPeer, eventually, listening


def to(*targets: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    backends = [{"target": each} if isinstance(each, str) else each for each in targets]
    return {"path": "/*", "protocol": "HTTP", "timeout": "5s", "backends": backends, **more}


async def plain(_head: Head, wire: Wire) -> None:
    await say(wire)


@asynccontextmanager
async def nodes(count: int) -> AsyncGenerator[list[str]]:
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(backend(plain)) for _ in range(count)]
        yield [node.address for node in made]


@pytest.mark.parametrize(
    ("target", "addresses", "service"),
    [
        ("127.0.0.1:80", ("127.0.0.1:80",), ""),
        ("direct:///127.0.0.1:80", ("127.0.0.1:80",), ""),
        ("direct:///a:1,b:2", ("a:1", "b:2"), ""),
        ("example.org", ("example.org:80",), ""),
        ("[::1]:99", ("[::1]:99",), ""),
        ("discovery:///shop", (), "shop"),
        ("discovery://anything/shop", (), "shop"),
    ],
)
def test_targets_are_understood(target: str, addresses: tuple[str, ...], service: str) -> None:
    found = target_of(Backend(target=target), scheme="http")
    assert tuple(node.address for node in found.nodes) == addresses
    assert found.service == service


@pytest.mark.parametrize(
    "target", ["", "http://x:1", "consul:///x", "a b:1", "x:0", "discovery:///"]
)
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="write host:port or discovery:///service"):
        target_of(Backend(target=target), scheme="http")


class Chosen:
    """Middleware that notes where requests go."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def wrap(self, handler: Handler, _endpoint: object, /) -> Handler:
        async def noted(request: Request) -> Answer:
            answer = await handler(request)
            assert request.options.current_node is not None
            self.counts[request.options.current_node.address] += 1
            return answer

        return noted

    async def aclose(self) -> None:
        pass


async def asked(*targets: str | dict[str, Any], times: int, **options: Any) -> Counter[str]:
    chosen = Chosen()
    endpoint = to(*targets, middlewares=[{"name": "chosen"}])
    async with proxied(endpoint, middleware=lambda _config: chosen, **options) as gateway:
        peer = await gateway.connect()
        for _ in range(times):
            assert (await peer.request("GET", "/")).status == 200
    return chosen.counts


async def test_weights_are_honoured() -> None:
    async with nodes(3) as (one, two, three):
        weighted: list[dict[str, Any]] = [
            {"target": one, "weight": 5},
            {"target": two, "weight": 0},
            {"target": three},
        ]
        assert await asked(*weighted, times=30) == {one: 10, three: 20}  # 10 is Go's for none


async def test_without_weights_the_selector_picks() -> None:
    async with nodes(2) as addresses:
        draws = cycle((0.1, 0.9, 0.8))
        chosen = await asked(
            *addresses, times=30, selector=lambda: RandomChoice(random=draws.__next__)
        )
        assert chosen == {addresses[0]: 10, addresses[1]: 20}


def instance(address: str, *, number: str = "1", scheme: str = "http") -> ServiceInstance:
    return ServiceInstance(id=number, name="shop", endpoints=(f"{scheme}://{address}",))


async def test_nodes_follow_the_registry() -> None:
    registry = MemoryRegistry()
    async with nodes(2) as (one, two):
        first = await registry.register(instance(one, number="1"))
        async with proxied(to("discovery:///shop"), discovery=registry) as gateway:
            await gateway.proxy.ready()
            peer = await gateway.connect()
            assert (await peer.request("GET", "/")).status == 200
            assert gateway.proxy.watched("shop") == [instance(one, number="1").to_mapping()]
            assert gateway.proxy.appliers("shop") == ["/*"]
            assert gateway.proxy.watched("other") is gateway.proxy.appliers("other") is None
            await registry.register(instance(two, number="2"))
            await first.withdraw()
            client = gateway.proxy._clients[0]  # pyright: ignore[reportPrivateUsage]
            assert isinstance(client, Client)
            await eventually(lambda: client.nodes == (two,))
            assert (await peer.request("GET", "/")).status == 200
            await registry.register(instance("127.0.0.1:1", number="2", scheme="grpc"))
            await registry.register(instance(one, number="3"))
            await eventually(lambda: client.nodes == (one,))


async def test_a_service_without_a_node_is_no_reason_to_wait_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    moved = {"path": "/old", "redirect": {"path": "/new"}}  # which has no back end
    config = config_of(to("discovery:///shop"), moved)
    proxy = await Proxy.opened(config, resolve_timeout=0.01, discovery=MemoryRegistry())
    assert "no usable instance is known of shop: requests to it are answered 502" in caplog.text
    async with listening(proxy) as opened:
        assert (await (await opened.connect()).request("GET", "/")).status == 502
    assert "GET '/': there is no node of shop, as far as the registry has told" in caplog.messages
    await proxy.aclose(drain=0.0)


async def test_a_service_of_many_endpoints_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = config_of(*(to("discovery:///shop", path=f"/{each}") for each in range(5)))
    proxy = await Proxy.opened(config, resolve_timeout=0.01, discovery=MemoryRegistry())
    await proxy.aclose(drain=0.0)
    told = [each.levelname for each in caplog.records if "shop has no node" in each.getMessage()]
    assert told.count("WARNING") == 1


async def test_endpoints_and_configurations_share_one_watch() -> None:
    class Watched(MemoryRegistry):
        watches = 0

        async def watch(self, name: str, /) -> Any:
            self.watches += 1
            return await super().watch(name)

    registry = Watched()
    async with nodes(1) as (address,):
        await registry.register(instance(address))
        config = config_of(to("discovery:///shop"), to("discovery:///shop", path="/other"))
        before = await Proxy.opened(config, discovery=registry)
        after = await Proxy.opened(config, discovery=registry)
        await before.aclose(drain=0.0)
        assert registry.watches == 1
        async with listening(after) as opened:
            assert (await (await opened.connect()).request("GET", "/")).status == 200
        await after.aclose(drain=0.0)


class Secured:
    """A node that speaks TLS, and whose certificate an authority of its own has signed."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.root = self.authority.cert_pem.bytes().decode()
        self.heads: list[Head] = []

    def route(self, head: Head, /) -> Secured:
        self.heads.append(head)
        return self

    async def converse(self, head: Head, wire: Wire, /) -> None:
        await say(wire, 200, b"over TLS")

    @asynccontextmanager
    async def serving(self, name: str, *, mutual: bool = False) -> AsyncGenerator[str]:
        issued = self.authority.issue_cert(name)
        tls = ServerTls(
            certificate=b"".join(each.bytes() for each in issued.cert_chain_pems),
            key=issued.private_key_pem.bytes(),
            client_ca=self.root.encode() if mutual else None,
        )
        place = Place("")
        server = Listening(
            place_of("127.0.0.1:0"),
            engine=Engine(self),
            place=place,
            endpoint=None,
            tls=tls,
            sock=None,
            cancel_grace=1.0,
        )

        @asynccontextmanager
        async def nothing() -> AsyncGenerator[None]:
            yield

        await server.bind()
        running = asyncio.create_task(server.start(nothing))
        await server.ready()
        try:
            yield place.endpoint.rpartition("//")[2]
        finally:
            await server.stop()
            await running


@pytest.mark.parametrize(("protocol", "version"), [("HTTP", "1.1"), ("GRPC", "2")])
async def test_a_node_with_tls_is_verified_by_the_store(protocol: str, version: str) -> None:
    node = Secured()
    connect = ConnectOptions(dial_timeout=5.0)
    async with node.serving("inner.example") as address:
        target = {"target": address, "tls": True, "tlsConfigName": "inner"}
        good = {"inner": {"cacert": node.root, "serverName": "inner.example"}}
        other_name = {"inner": {"cacert": node.root}}
        unknown = {"inner": {"serverName": "inner.example"}}
        careless = {"inner": {"insecure": True}}
        for store, fine in ((good, True), (other_name, False), (unknown, False), (careless, True)):
            endpoint = to(target, protocol=protocol)
            async with proxied(endpoint, tls_store=store, connect=connect) as gateway:
                answer = await (await gateway.connect()).request("GET", "/")
                assert (answer.body == b"over TLS") == fine
        assert [head.version for head in node.heads] == [version] * 2


async def test_a_node_may_ask_for_the_gateways_certificate() -> None:
    node = Secured()
    mine = node.authority.issue_cert("gateway")
    async with node.serving("127.0.0.1", mutual=True) as address:
        target = {"target": address, "tls": True, "tlsConfigName": "inner"}
        store = {
            "inner": {
                "cacert": node.root,
                "cert": mine.cert_chain_pems[0].bytes().decode(),
                "key": mine.private_key_pem.bytes().decode(),
            }
        }
        connect = ConnectOptions(dial_timeout=5.0)
        async with proxied(to(target), tls_store=store, connect=connect) as gateway:
            assert (await (await gateway.connect()).request("GET", "/")).body == b"over TLS"
        certificate = node.heads[0].certificate
        assert certificate is not None


@pytest.mark.parametrize("protocol", ["HTTP", "GRPC"])
async def test_connections_to_nodes_end_with_the_configuration(protocol: str) -> None:
    async with backend(plain) as node:
        async with proxied(to({"target": node.address}, protocol=protocol)) as gateway:
            assert (await (await gateway.connect()).request("GET", "/")).status == 200
            assert node.listening.engine.connections
        await eventually(lambda: not node.listening.engine.connections)


async def test_a_store_that_cannot_be_used_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="tls_store 'inner'"):
        Proxy(config_of(tls_store={"inner": {"cacert": "no certificate"}}))
    with pytest.raises(ConfigError, match="tls_store 'inner'"):
        Proxy(config_of(tls_store={"inner": {"key": "a key without its certificate"}}))


async def test_no_request_fails_while_configurations_change() -> None:
    """As the gateway does it: the new one serves, and the old one ends its requests."""

    class Switch:
        def __init__(self, proxy: Proxy) -> None:
            self.now = proxy

        def route(self, head: Head, /) -> Any:
            return self.now.route(head)

    async def script(_head: Head, wire: Wire) -> None:
        await asyncio.sleep(0)
        await say(wire, 200, b"fine")

    async with backend(script) as node:
        config = config_of(to(node.address))
        connect = ConnectOptions(dial_timeout=5.0)
        switch = Switch(Proxy(config, connect=connect))
        statuses: Counter[int] = Counter()
        done = asyncio.Event()

        async def ask(peer: SocketPeer) -> None:
            while not done.is_set():
                statuses[(await peer.request("GET", "/")).status] += 1

        def enough(count: int) -> bool:
            return statuses.total() > count

        async with listening(switch) as opened, asyncio.TaskGroup() as asking:
            for _ in range(8):
                asking.create_task(ask(await opened.connect()))
            for _ in range(20):
                before, switch.now = switch.now, Proxy(config, connect=connect)
                await before.aclose(drain=10.0)
                await eventually(partial(enough, statuses.total() + 8))
            done.set()
        assert set(statuses) == {200}
        await switch.now.aclose(drain=1.0)


async def test_requests_wait_for_a_connection_where_their_number_is_limited() -> None:
    open_now = most = 0
    gate = asyncio.Event()

    async def script(_head: Head, wire: Wire) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await gate.wait()
        open_now -= 1
        await say(wire)

    connect = ConnectOptions(max_connections=2, dial_timeout=5.0)
    async with backend(script) as node, proxied(to(node.address), connect=connect) as gateway:
        peers = [await gateway.connect() for _ in range(6)]
        asking = [asyncio.ensure_future(peer.request("GET", "/")) for peer in peers]
        await eventually(lambda: open_now == 2 and gateway.proxy.in_flight == 6)
        gate.set()
        assert {(await each).status for each in asking} == {200}
        assert most == 2


async def test_a_full_connection_of_http2_gets_another_beside_it() -> None:
    gate = asyncio.Event()

    async def script(_head: Head, wire: Wire) -> None:
        await gate.wait()
        await say(wire, 200, b"", ("content-type", "application/grpc"))

    node = Backing(script)
    async with listening(node, limits=Limits(max_streams=3)) as opened:
        address = f"127.0.0.1:{opened.port}"
        async with proxied(to(address, protocol="GRPC")) as gateway:
            peer = await gateway.connect_http2()
            first = peer.begin("POST", "/", end=True)
            await eventually(lambda: len(node.heads) == 1)  # its limit is known from now on
            others = [peer.begin("POST", "/", end=True) for _ in range(7)]
            await eventually(lambda: len(node.heads) == 8)
            gate.set()
            for request in (first, *others):
                assert (await request.answer()).status == 200
            assert len({head.peer for head in node.heads}) == 3


class Closing(Dialer):
    """Opens connections, the first of which are closed before they are used."""

    def __init__(self, address: str, *, closed: int) -> None:
        super().__init__(address)
        self.left = closed

    async def open(self, make: Any, *, through: bool = False) -> Any:
        made = await super().open(make, through=through)
        if self.left:
            self.left -= 1
            made.close()
        return made


def post() -> Request:
    options = RequestOptions(Endpoint())
    return Request("POST", "http", "x", "/", "", [], b"once", "", "1.1", options)


async def test_a_new_connection_that_is_closed_before_it_is_used_is_followed_by_another() -> None:
    async with backend(plain) as node:
        http1 = Http1Node(Closing(node.address, closed=1), ConnectOptions(dial_timeout=5.0))
        assert (await http1.send(post(), "x")).status == 200
        assert (len(node.heads), http1.open, http1.busy) == (1, 1, 0)
        await http1.aclose()


async def test_a_node_that_closes_new_connections_is_not_there() -> None:
    async with backend(plain) as node:
        http1 = Http1Node(Closing(node.address, closed=2), ConnectOptions(dial_timeout=5.0))
        with pytest.raises(ConnectionError, match="before they are used"):
            await http1.send(post(), "x")
        assert (len(node.heads), http1.open, http1.busy) == (0, 0, 0)
        await http1.aclose()


async def test_a_connection_that_nobody_uses_is_closed() -> None:
    async def script(_head: Head, wire: Wire) -> None:
        await say(wire)

    connect = ConnectOptions(idle_timeout=0.05)
    async with backend(script) as node, proxied(to(node.address), connect=connect) as gateway:
        await (await gateway.connect()).request("GET", "/")
        await eventually(lambda: not node.listening.engine.connections)


async def test_what_clients_send_is_not_kept_however_long_it_is() -> None:
    async def hello(_head: Head, wire: Wire) -> None:
        await say(wire)

    async with backend(hello) as to:
        node = Http2Node(Dialer(to.address), ConnectOptions(dial_timeout=5.0), scheme="http")
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            headers = [(b"x-long", b"%099d" % number * 200)]
            options = RequestOptions(Endpoint())
            asked = Request("GET", "http", "x", "/", "", headers, b"", "", "2", options)
            assert (await node.send(asked, "x")).status == 200
        to.heads.clear()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await node.aclose()
    assert after - before < 1_000_000
