"""Limits as those who run into them learn of them."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from kratos.errors import ConfigError, Error
from kratos.testing.echo import ALL, ECHO, EchoService
from kratos.testing.echo import text as message
from kratos.transport import Call, Cause, Handler, Method
from kratos_grpc import ClientLimits, GrpcConnector, GrpcServer, ServerLimits
from kratos_grpc._refusals import named

every_arity = pytest.mark.parametrize("method", ALL, ids=lambda each: each.arity.value)
LONG = "x" * 200


async def refusal(making: Awaitable[object]) -> Error:
    with pytest.raises(Error) as refused:
        await making
    return refused.value


@every_arity
@pytest.mark.parametrize(
    ("server", "client", "text"),
    [
        (
            ServerLimits(max_receive=100),
            ClientLimits(),
            (
                "the request of 203 bytes exceeds 100 bytes, the most that the server takes: "
                "max_receive sets it there"
            ),
        ),
        (
            ServerLimits(max_send=100),
            ClientLimits(),
            (
                "the reply of 203 bytes exceeds 100 bytes, the most that the server sends: "
                "max_send sets it there"
            ),
        ),
        (
            ServerLimits(),
            ClientLimits(max_receive=100),
            (
                "the reply of 203 bytes exceeds 100 bytes, the most that this client takes: "
                "max_receive sets it"
            ),
        ),
        (
            ServerLimits(),
            ClientLimits(max_send=100),
            (
                "the request of 203 bytes exceeds 100 bytes, the most that this client sends: "
                "max_send sets it"
            ),
        ),
    ],
    ids=["request_taken", "reply_sent", "reply_taken", "request_sent"],
)
async def test_message_beyond_a_limit_is_refused_naming_limit_and_option(
    serve: Any,
    say: Any,
    method: Method[Any, Any],
    server: ServerLimits,
    client: ClientLimits,
    text: str,
) -> None:
    connector = GrpcConnector(limits=client)
    async with serve(EchoService(), limits=server, connector=connector) as served:
        error = await refusal(say(served.caller, method, LONG))
        assert await say(served.caller, method, "short") == ["short"]
    assert (error.code, error.reason) == (429, "MESSAGE_TOO_LARGE")
    # Our own engine reads no more of a body than there may be, and so does not know its size.
    assert error.message in (text, text.replace("request of 203 bytes", "request"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grpc: received message larger than max (203 vs. 100)", "grpc.MaxRecvMsgSize"),
        ("grpc: trying to send message larger than max (203 vs. 100)", "grpc.MaxSendMsgSize"),
        ("SERVER: Sent message larger than max (203 vs. 100)", "max_send sets it there"),
    ],
)
def test_limits_of_other_servers_are_named_by_their_options(text: str, told: str) -> None:
    error = named(Error(429, "", text))
    assert (error.code, error.reason) == (429, "MESSAGE_TOO_LARGE")
    assert told in error.message
    assert "203 bytes exceeds 100" in error.message


def test_refusal_in_words_that_are_not_known_stays_as_it_came() -> None:
    error = Error(429, "", "quota exceeded")
    assert named(error) is error


class Causes:
    """Notes why each call was cancelled."""

    def __init__(self) -> None:
        self.seen: list[Cause | None] = []
        self.noted = asyncio.Event()

    async def __call__(self, call: Call, request: Any, next: Handler, /) -> Any:
        try:
            return await next(call, request)
        finally:
            self.seen.append(call.cause)
            self.noted.set()


async def until(condition: Callable[[], bool]) -> None:
    """Return when the other end has done what no event tells; the test's time limit bounds it."""
    while not condition():  # noqa: ASYNC110  see above
        await asyncio.sleep(0)


@every_arity
async def test_call_in_flight_outlives_the_age_of_its_connection(
    serve: Any, say: Any, method: Method[Any, Any]
) -> None:
    release = asyncio.Event()

    class Held(EchoService):
        async def _answer(self, request: Any) -> Any:
            await release.wait()
            return request

    service = Held()
    async with serve(service, limits=ServerLimits(max_connection_age=0.3)) as served:
        calling = asyncio.create_task(say(served.caller, method, "ok"))
        await service.entered.wait()
        await until(lambda: not served.connection.ready)
        release.set()
        assert await calling == ["ok"]


@every_arity
async def test_call_that_outlives_the_grace_ends_with_an_error_of_its_own(
    serve: Any, say: Any, method: Method[Any, Any], engine: str
) -> None:
    limits = ServerLimits(max_connection_age=1.0, max_connection_age_grace=0.5)
    service, causes = EchoService(), Causes()
    async with serve(service, limits=limits, middleware=[causes]) as served:
        error = await refusal(say(served.caller, method, "hang"))
        await causes.noted.wait()
    assert (error.code, error.reason) == (503, "CONNECTION_AGED")
    assert "max_connection_age" in error.message
    assert causes.seen == [Cause.AGED if engine == "kratos" else Cause.PEER_GONE]
    assert service.interrupted == 1


@pytest.mark.slow
async def test_connections_of_one_moment_do_not_all_end_in_one_moment(serve: Any) -> None:
    ready, loop = grpc.ChannelConnectivity.READY, asyncio.get_running_loop()

    async def end_of_one(address: str) -> float:
        # Channels with equal options share a connection, unless they are told otherwise.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            await channel.channel_ready()
            await channel.wait_for_state_change(ready)
            return loop.time()

    async with serve(EchoService(), limits=ServerLimits(max_connection_age=3.0)) as served:
        ends = await asyncio.gather(*(end_of_one(served.address) for _ in range(20)))
    assert max(ends) - min(ends) > 0.1  # of 0.6 that a tenth each way allows


async def test_connection_without_calls_is_closed_and_opened_again_when_needed(
    serve: Any, say: Any
) -> None:
    async with serve(EchoService(), limits=ServerLimits(max_connection_idle=0.2)) as served:
        assert await say(served.caller, ECHO, "one") == ["one"]
        await until(lambda: not served.connection.ready)
        assert await say(served.caller, ECHO, "two") == ["two"]


async def test_connection_with_a_call_is_not_idle(serve: Any) -> None:
    class Held(EchoService):
        release = asyncio.Event()

        async def _answer(self, request: Any) -> Any:
            await self.release.wait()
            return request

    service = Held()
    async with serve(service, limits=ServerLimits(max_connection_idle=0.2)) as served:
        held = asyncio.create_task(served.caller.unary(ECHO, message("held")))
        await service.entered.wait()
        idle = GrpcConnector().connect(served.connection.node)
        await idle.warm()
        await until(lambda: not idle.ready)
        assert served.connection.ready
        service.release.set()
        assert (await held).value == "held"
        await idle.aclose()


def test_server_takes_pings_as_often_as_clients_of_go_may_send_them() -> None:
    options = dict(ServerLimits().options())
    most_often = 10_000  # to which grpc-go raises what it is told
    allowed = int(options["grpc.http2.min_ping_interval_without_data_ms"])
    assert allowed <= most_often / 2  # else a late ping makes the next one come too early
    assert options["grpc.keepalive_permit_without_calls"] == 1


def test_client_pings_less_often_than_servers_of_go_take_for_an_attack() -> None:
    options = dict(ClientLimits().options())
    assert int(options["grpc.keepalive_time_ms"]) > 300_000
    assert "grpc.keepalive_permit_without_calls" not in options


def test_every_channel_argument_is_one_that_the_core_knows() -> None:
    # It passes over others in silence.
    core = Path(importlib.import_module("grpc._cython.cygrpc").__file__ or "").read_bytes()
    server = ServerLimits(max_connection_age=1, max_connection_age_grace=1, max_connection_idle=1)
    for name, _ in (*server.options(), *ClientLimits(max_send=1).options()):
        assert name.encode() + b"\0" in core, name


@pytest.mark.parametrize(
    ("make", "options", "told"),
    [
        (GrpcServer, {"limits": 3}, r"limits is ServerLimits\(...\) or None, not 3"),
        (GrpcServer, {"timeout": "1s"}, "timeout must be a number"),
        (GrpcServer, {"cancel_grace": "1s"}, "cancel_grace is a number from 0"),
        (GrpcServer, {"options": 3}, "options must be a list, not 3"),
        (GrpcServer, {"options": {"a": 1}}, "options must be a list of pairs"),
        (GrpcServer, {"compression": ["gzip"]}, r"compression \['gzip'\] is none of gRPC"),
        (GrpcConnector, {"limits": 3}, r"limits is ClientLimits\(...\) or None"),
        (GrpcConnector, {"options": "x"}, "options must be a list of pairs"),
        (ServerLimits, {"max_receive": "4MB"}, "max_receive is a number above 0, not '4MB'"),
        (ServerLimits, {"max_receive": None}, "max_receive is a number above 0, not None"),
        (ClientLimits, {"keepalive": "1s"}, "keepalive is a number above 0 or None"),
    ],
)
def test_option_of_a_wrong_type_is_refused_with_what_to_write(
    make: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        make(**options)
