"""A connection with a Nacos that is made up, and does what a real one seldom does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest

from kratos.registry import ServiceInstance
from kratos.testing.clock import FakeClock
from kratos_nacos import NacosClient, NacosRegistry, NacosUnavailable
from kratos_nacos import nacos_pb2 as pb
from kratos_nacos.link import Link
from kratos_nacos.services import ServicesWatcher
from kratos_nacos.wire import pack, unpack

HEARTBEAT = 5.0  # seconds
LOST: dict[str, Any] = {}
HELD: dict[str, Any] = {}
GOOD = {"resultCode": 200, "errorCode": 0}
ONE = ServiceInstance(id="1", name="orders", endpoints=("grpc://10.0.0.1:9000",))
DEEP = pack("Odd", {})
DEEP.body.value = b"[" * 100_000
UNKNOWN = {"resultCode": 500, "errorCode": 301, "message": "Connection is unregistered."}


class FakeNacos(grpc.GenericRpcHandler):
    """Answers what it is told to, says what it is given, and notes what it hears."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[str] = []
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.pushes: asyncio.Queue[pb.Payload | None] = asyncio.Queue()
        self.held: asyncio.Queue[Any] = asyncio.Queue()  # what it has in hand, and does not answer
        self.left = asyncio.Event()  # set when a connection ends

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler[Any, Any]:
        types: Any = {
            "request_deserializer": pb.Payload.FromString,
            "response_serializer": pb.Payload.SerializeToString,
        }
        if handler_call_details.method == "/Request/request":
            return grpc.unary_unary_rpc_method_handler(self._answer, **types)
        return grpc.stream_stream_rpc_method_handler(self._talk, **types)

    async def _answer(self, request: pb.Payload, context: Any) -> pb.Payload:
        kind, body = unpack(request)
        self.asked.append(kind)
        planned = self.answers.get(kind)
        answer: Any = planned.pop(0) if planned else GOOD
        if answer is LOST:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "as planned")
        if answer is HELD:
            self.held.put_nowait(body)
            await asyncio.Event().wait()
        if isinstance(answer, asyncio.Event):
            self.held.put_nowait(body)
            await answer.wait()
            answer = GOOD
        return pack("Response", answer)

    async def _talk(self, requests: Any, _context: Any) -> AsyncIterator[pb.Payload]:
        async def listen() -> None:
            async for request in requests:
                self.heard.put_nowait(unpack(request))

        listening = asyncio.ensure_future(listen())
        try:
            while (push := await self.pushes.get()) is not None:
                yield push
        finally:
            listening.cancel()
            self.left.set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def nacos() -> FakeNacos:
    return FakeNacos()


@pytest.fixture
async def client(nacos: FakeNacos, clock: FakeClock) -> AsyncIterator[NacosClient]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([nacos])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with NacosClient([f"127.0.0.1:{port}"], grpc_offset=0, clock=clock) as made:
        yield made
    await server.stop(0)


@pytest.fixture
async def link(client: NacosClient, nacos: FakeNacos) -> Link:
    made = await client.connect("naming")
    assert await nacos.heard.get() == (
        "ConnectionSetupRequest",
        {
            "clientVersion": "Kratos-Python:v0.1.0",
            "tenant": "",
            "labels": {"source": "sdk", "module": "naming"},
            "abilities": {},
        },
    )
    return made


async def ended(link: Link) -> str:
    async with asyncio.timeout(10):
        await link.end()
    return link.why


async def beat(nacos: FakeNacos, clock: FakeClock, *, times: int = 1) -> None:
    """Let the time of a heartbeat come, and wait until it was heard."""
    before = nacos.asked.count("HealthCheckRequest")
    async with asyncio.timeout(10):
        while not clock.sleepers:  # noqa: ASYNC110  the last heartbeat may be on its way
            await asyncio.sleep(0.01)
        await clock.advance(HEARTBEAT)
        while nacos.asked.count("HealthCheckRequest") < before + times:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_connection_is_ready_when_nacos_knows_it(
    client: NacosClient, nacos: FakeNacos
) -> None:
    nacos.answers["HealthCheckRequest"] = [UNKNOWN, UNKNOWN, GOOD]

    link = await client.connect("naming")

    assert not link.over
    assert nacos.asked == ["ServerCheckRequest", *["HealthCheckRequest"] * 3]


async def test_what_is_pushed_is_told_and_acknowledged(link: Link, nacos: FakeNacos) -> None:
    told: asyncio.Queue[Any] = asyncio.Queue()
    stop = link.hear("g@@orders", told.put_nowait)
    info: dict[str, Any] = {"name": "orders", "groupName": "g", "hosts": []}
    nacos.pushes.put_nowait(
        pack("NotifySubscriberRequest", {"requestId": "7", "serviceInfo": info})
    )

    assert (await told.get())["serviceInfo"] == info
    assert await nacos.heard.get() == (
        "NotifySubscriberResponse",
        {"requestId": "7", "resultCode": 200, "success": True},
    )
    assert stop()
    nacos.pushes.put_nowait(pack("ClientDetectionRequest", {"requestId": "8"}))
    assert (await nacos.heard.get())[0] == "ClientDetectionResponse"
    assert told.empty()


async def test_one_missed_heartbeat_is_forgiven_and_two_in_a_row_are_not(
    link: Link, nacos: FakeNacos, clock: FakeClock
) -> None:
    nacos.answers["HealthCheckRequest"] = [LOST, GOOD, GOOD, LOST, LOST]
    await beat(nacos, clock, times=2)
    await beat(nacos, clock)
    assert not link.over

    await beat(nacos, clock, times=2)

    assert "does not answer (HealthCheckRequest): as planned" in await ended(link)


@pytest.mark.parametrize("by_heartbeat", [False, True])
async def test_connection_that_nacos_knows_no_more_is_over(
    link: Link, nacos: FakeNacos, clock: FakeClock, by_heartbeat: bool
) -> None:
    told: list[Any] = []
    link.hear("g@@orders", told.append)
    if by_heartbeat:
        nacos.answers["HealthCheckRequest"] = [UNKNOWN]
        await beat(nacos, clock)
        assert "does not know the connection any more" in await ended(link)
    else:
        nacos.answers["InstanceRequest"] = [UNKNOWN]
        with pytest.raises(NacosUnavailable, match="Connection is unregistered"):
            await link.ask("InstanceRequest", {})
        assert "Connection is unregistered" in await ended(link)

    assert told == [None]
    with pytest.raises(NacosUnavailable, match=r"unregistered|any more"):
        await link.ask("InstanceRequest", {})


@pytest.mark.parametrize(
    ("push", "why"),
    [
        (None, "ended the connection"),
        (pack("ConnectResetRequest", {"requestId": "1"}), "asks to connect anew"),
        (pb.Payload(metadata=pb.Metadata(type="Odd")), "pushes no message of Nacos"),
        (DEEP, "pushes no message of Nacos"),
    ],
)
async def test_what_nacos_says_may_end_the_connection(
    link: Link, nacos: FakeNacos, push: pb.Payload | None, why: str
) -> None:
    nacos.pushes.put_nowait(push)

    assert why in await ended(link)


async def test_what_is_pushed_counts_though_the_clock_of_nacos_was_set_back(
    client: NacosClient, nacos: FakeNacos
) -> None:
    def listed(host: str, at: object) -> dict[str, Any]:
        hosts = [{"ip": host, "port": 1}]
        return {"serviceInfo": {"name": "s", "groupName": "g", "hosts": hosts, "lastRefTime": at}}

    nacos.answers["ServiceQueryRequest"] = [
        GOOD | listed("10.0.0.1", 9000),
        GOOD | listed("10.0.0.4", 1),
    ]
    nacos.answers["SubscribeServiceRequest"] = [GOOD | listed("10.0.0.2", 8000)]
    watcher = ServicesWatcher(client, ["s"], group="g", decode=lambda found: found["s"])

    state = await watcher.read()
    assert (state := await watcher.changed(state.token)).value == [{"ip": "10.0.0.2", "port": 1}]
    nacos.pushes.put_nowait(pack("NotifySubscriberRequest", listed("10.0.0.3", 7000)))
    assert (state := await watcher.changed(state.token)).value == [{"ip": "10.0.0.3", "port": 1}]
    assert (await watcher.read()).value == [{"ip": "10.0.0.4", "port": 1}]
    await watcher.aclose()


async def test_number_of_an_error_that_is_none_is_none(link: Link, nacos: FakeNacos) -> None:
    nacos.answers["InstanceRequest"] = [{"resultCode": 500, "errorCode": {"a": 1}}]
    with pytest.raises(NacosUnavailable, match=r"no reason given \(0\)"):
        await link.ask("InstanceRequest", {})


async def test_next_user_of_the_shared_connection_gets_a_new_one(
    client: NacosClient, nacos: FakeNacos
) -> None:
    first = await client.shared()
    assert await client.shared() is first
    nacos.pushes.put_nowait(None)
    await ended(first)

    assert not (await client.shared()).over


def test_body_of_a_message_is_json_in_utf_8() -> None:
    message = pack("Kind", {"a": "größe"}, token="t")

    assert json.loads(message.body.value) == {"a": "größe"}
    assert "ö".encode() in message.body.value
    assert dict(message.metadata.headers) == {"accessToken": "t"}


async def given_up(nacos: FakeNacos, registry: NacosRegistry, instance: ServiceInstance) -> Any:
    """Register, cancel that when Nacos has it in hand, and return what that was."""
    nacos.answers["InstanceRequest"] = [HELD]
    registering = asyncio.ensure_future(registry.register(instance))
    told = await nacos.held.get()
    registering.cancel()
    await asyncio.wait({registering})
    assert registering.cancelled()
    return told


async def test_registration_that_was_given_up_goes_with_its_connection(
    client: NacosClient, nacos: FakeNacos
) -> None:
    await given_up(nacos, NacosRegistry(client), ONE)

    async with asyncio.timeout(10):
        await nacos.left.wait()


async def test_change_that_was_given_up_is_not_taken_for_somebody_elses(
    client: NacosClient, nacos: FakeNacos
) -> None:
    registry = NacosRegistry(client)
    registration = await registry.register(ONE)
    told = await given_up(nacos, registry, replace(ONE, version="v2"))
    listed = {**GOOD, "serviceInfo": {"hosts": [told["instance"]]}}
    nacos.answers["ServiceQueryRequest"] = [listed]

    await registration.renew()

    assert not nacos.left.is_set()
    await registration.withdraw()
    async with asyncio.timeout(10):
        await nacos.left.wait()


async def test_registration_that_is_connecting_as_the_registry_closes_publishes_nothing(
    client: NacosClient, nacos: FakeNacos
) -> None:
    registry = NacosRegistry(client)
    nacos.answers["ServerCheckRequest"] = [going_on := asyncio.Event()]
    registering = asyncio.ensure_future(registry.register(ONE))
    waiting = asyncio.ensure_future(registry.register(ONE))
    await nacos.held.get()
    closing = asyncio.ensure_future(registry.aclose())
    await asyncio.sleep(0)
    going_on.set()

    await closing

    assert registering.done()
    for each in (registering, waiting):
        with pytest.raises(NacosUnavailable, match="DEFAULT_GROUP: the registry is closed"):
            await each
    assert "InstanceRequest" not in nacos.asked
    async with asyncio.timeout(10):
        await nacos.left.wait()


async def test_registration_that_nacos_has_in_hand_as_the_registry_closes_goes_with_it(
    client: NacosClient, nacos: FakeNacos
) -> None:
    registry = NacosRegistry(client)
    nacos.answers["InstanceRequest"] = [HELD]
    registering = asyncio.ensure_future(registry.register(ONE))
    await nacos.held.get()

    await registry.aclose()

    assert registering.done()
    with pytest.raises(NacosUnavailable, match="was closed"):
        await registering
    async with asyncio.timeout(10):
        await nacos.left.wait()


async def test_closed_registry_registers_nothing(client: NacosClient, nacos: FakeNacos) -> None:
    registry = NacosRegistry(client)
    await registry.aclose()
    await registry.aclose()

    with pytest.raises(NacosUnavailable, match="the registry is closed"):
        await registry.register(ONE)

    assert nacos.asked == []
