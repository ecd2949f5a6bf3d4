"""A client of ours calls services of Go Kratos over gRPC, in all four arities."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

import pytest
from interop.peer.v1.peer_kratos import PeerClient
from interop.peer.v1.peer_pb2 import EndedRequest, Seen, Step

from kratos import Client, Error
from kratos.metadata import Metadata, client_context
from kratos.transport import Call, CallOptions
from kratos_grpc import GrpcConnector

pytestmark = [pytest.mark.go, pytest.mark.slow]

Make: TypeAlias = Callable[
    [PeerClient, Sequence[Step], CallOptions | None, list[Seen]], Coroutine[Any, Any, None]
]


async def single(
    client: PeerClient, steps: Sequence[Step], options: CallOptions | None, got: list[Seen]
) -> None:
    got.append(await client.single(steps[-1], options=options))


async def gather(
    client: PeerClient, steps: Sequence[Step], options: CallOptions | None, got: list[Seen]
) -> None:
    got.append(await client.gather(steps, options=options))


async def feed(
    client: PeerClient, steps: Sequence[Step], options: CallOptions | None, got: list[Seen]
) -> None:
    """Ask for one reply before the last step, for each step."""
    last = Step()
    last.CopyFrom(steps[-1])
    last.replies = len(steps) - (last.hang or last.fail > 0)
    async with client.feed(last, options=options) as replies:
        async for reply in replies:
            got.append(reply)  # noqa: PERF401  those before the failure count


async def talk(
    client: PeerClient, steps: Sequence[Step], options: CallOptions | None, got: list[Seen]
) -> None:
    async with client.talk(options=options) as stream:
        for step in steps:
            await stream.send(step)
            got.append(await anext(stream))
        await stream.end()
        assert [reply async for reply in stream] == []


ARITIES: list[Make] = [single, gather, feed, talk]
STREAMS = ARITIES[1:]


def named(make: Make) -> str:
    return getattr(make, "__name__", "")


each_arity = pytest.mark.parametrize("make", ARITIES, ids=named)


@each_arity
async def test_headers_arrive_with_all_values_and_so_do_headers_and_trailers_of_the_reply(
    make: Make, client: PeerClient
) -> None:
    got: list[Seen] = []
    ended: list[Call] = []
    headers = {"x-many": ["one", "two"], "x-raw-bin": "AP8"}
    await make(client, [Step()], CallOptions(headers=headers, on_end=ended.append), got)
    assert [(list(seen.many), seen.raw) for seen in got] == [(["one", "two"], b"\x00\xff")]
    assert ended[0].reply_headers.values("x-many") == ["one", "two"]
    assert ended[0].reply_headers.values("x-server") == ["go"]
    assert ended[0].trailers.values("x-many-trailer") == ["one", "two"]
    assert ended[0].trailers.get_bytes("x-raw-bin") == b"\x00\xff"


@each_arity
async def test_middleware_of_a_client_writes_headers(make: Make, client: PeerClient) -> None:
    got: list[Seen] = []
    await make(client, [Step()], None, got)
    assert [list(seen.passed) for seen in got] == [["python"]]


@each_arity
async def test_metadata_arrives(make: Make, client: PeerClient) -> None:
    got: list[Seen] = []
    carried = {"x-md-global-color": "red", "x-md-local-size": "xl"}
    with client_context(Metadata({key: [value] for key, value in carried.items()})):
        await make(client, [Step()], None, got)
    # Around a stream, Go Kratos runs a server's middleware for each message, with a context that
    # the handler does not get.
    assert [dict(seen.metadata) for seen in got] == [carried if make is single else {}]


@each_arity
async def test_refusal_by_middleware_arrives_whole(make: Make, client: PeerClient) -> None:
    with pytest.raises(Error) as failure:
        await make(client, [Step()], CallOptions(headers={"x-token": "bad"}), [])
    error = failure.value
    assert (error.code, error.reason, error.message) == (401, "BAD_TOKEN", "who is there")
    assert error.metadata == {"key": "value"}


@each_arity
async def test_failure_at_open_arrives_whole(make: Make, client: PeerClient) -> None:
    got: list[Seen] = []
    with pytest.raises(Error) as failure:
        await make(client, [Step(fail=409)], None, got)
    assert told(failure.value)
    assert got == []


@pytest.mark.parametrize("make", STREAMS, ids=named)
async def test_failure_half_way_arrives_whole_after_what_came_before(
    make: Make, client: PeerClient
) -> None:
    got: list[Seen] = []
    with pytest.raises(Error) as failure:
        await make(client, [Step(), Step(fail=409)], None, got)
    assert told(failure.value)
    assert len(got) == (0 if make is gather else 1)


def told(error: Error) -> bool:
    return (error.code, error.reason, error.message, error.metadata) == (
        409,
        "A_REASON",
        "a message",
        {"key": "value"},
    )


@each_arity
async def test_deadline_of_a_client_is_seen_by_the_service(make: Make, client: PeerClient) -> None:
    got: list[Seen] = []
    await make(client, [Step()], CallOptions(timeout=30.0), got)
    assert 0 < got[0].left <= 30000


@pytest.mark.parametrize("make", STREAMS, ids=named)
async def test_stream_without_a_deadline_has_none_at_the_service(
    make: Make, client: PeerClient
) -> None:
    got: list[Seen] = []
    await make(client, [Step()], None, got)
    assert got[0].left == -1


@each_arity
async def test_deadline_ends_the_call_at_both_ends(make: Make, client: PeerClient) -> None:
    begun = time.monotonic()
    with pytest.raises(Error) as failure:
        await make(client, [Step(hang=True, name="call")], CallOptions(timeout=2.0), [])
    assert (failure.value.code, failure.value.reason) == (504, "DEADLINE_EXCEEDED")
    assert time.monotonic() - begun >= 1.9
    assert (await client.ended(EndedRequest(name="call"))).by in ("deadline", "cancelled")


@each_arity
async def test_cancelled_caller_cancels_the_handler(make: Make, client: PeerClient) -> None:
    calling = asyncio.create_task(make(client, [Step(hang=True, name="call")], None, []))
    await client.ended(EndedRequest(name="call hangs"))
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert (await client.ended(EndedRequest(name="call"))).by == "cancelled"


async def test_time_limit_of_a_service_ends_a_call_that_has_none(theirs: Any, engine: Any) -> None:
    connector = GrpcConnector(engine=engine)
    async with (
        theirs(timeout=0.2) as address,
        Client(f"grpc://{address}", transport=connector) as caller,
    ):
        with pytest.raises(Error) as failure:
            await PeerClient(caller).single(Step(hang=True), options=CallOptions(timeout=0))
    assert failure.value.code == 504


async def test_global_metadata_and_the_deadline_get_through_a_service_of_go(
    ours: Any, client: PeerClient
) -> None:
    carried = Metadata({"x-md-global-color": ["red"], "x-md-local-size": ["xl"]})
    async with ours() as following:
        with client_context(carried):
            seen = await client.single(Step(next=following), options=CallOptions(timeout=30.0))
    assert seen.server == "python"
    assert dict(seen.metadata) == {"x-md-global-color": "red"}
    assert 0 < seen.left <= 30000


async def test_error_gets_through_a_service_of_go_whole(ours: Any, client: PeerClient) -> None:
    async with ours() as following:
        with pytest.raises(Error) as failure:
            await client.single(Step(next=following, fail=409))
    assert told(failure.value)


async def test_calls_are_spread_evenly_over_a_list_of_go_services(theirs: Any, engine: Any) -> None:
    async with theirs("a") as first, theirs("b") as second:
        target = f"direct:///{first},{second}"
        connector = GrpcConnector(engine=engine)
        async with Client(target, transport=connector, timeout=60.0) as caller:
            client = PeerClient(caller)
            met: set[str] = set()
            while len(met) < 2:
                met.add((await client.single(Step())).server)
            servers = [(await client.single(Step())).server for _ in range(10)]
    assert sorted(servers) == ["a"] * 5 + ["b"] * 5
