"""Our client against the server of gRPC's interoperability tests, grpc-go's, case by case."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import pytest
import pytest_asyncio
from interop.suite import testing_kratos, testing_pb2  # no names that look like tests
from interop.suite.load_report_pb2 import OrcaLoadReport
from interop.suite.load_service_kratos import OpenRcaServiceClient
from interop.suite.load_service_pb2 import OrcaLoadReportRequest
from interop.suite.testing_pb2 import (
    EchoStatus,
    Empty,
    Payload,
    ResponseParameters,
    SimpleRequest,
    StreamingInputCallRequest,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)

from kratos import Client, Error
from kratos.tls import ClientTls
from kratos.transport import Call, CallOptions, Incoming
from kratos_grpc import GrpcConnector

pytestmark = [pytest.mark.go, pytest.mark.slow]

REQUEST_SIZES: Final = (27182, 8, 1828, 45904)
REPLY_SIZES: Final = (31415, 9, 2653, 58979)
LARGE_REQUEST: Final = 271828
LARGE_REPLY: Final = 314159
INITIAL: Final = "x-grpc-test-echo-initial"
LOAD: Final = "endpoint-load-metrics-bin"
TRAILING: Final = "x-grpc-test-echo-trailing-bin"
SPECIAL: Final = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
PATIENCE: Final = CallOptions(timeout=60.0)


@pytest_asyncio.fixture
async def caller(
    their_server: str, tls: bool, certificates: Any, engine: Any
) -> AsyncIterator[Client]:
    """A client of their server."""
    connector = GrpcConnector(tls=ClientTls(ca=certificates.root), engine=engine)
    scheme = "grpcs" if tls else "grpc"
    async with Client(f"{scheme}://{their_server}", transport=connector, timeout=60.0) as caller:
        yield caller


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    """Run each case with TLS and without."""
    return bool(request.param)


@pytest.fixture
def client(caller: Client) -> testing_kratos.TestServiceClient:
    return testing_kratos.TestServiceClient(caller)


def body(size: int) -> Payload:
    return Payload(body=bytes(size))


def asking(*sizes: int, sends: int = 0) -> StreamingOutputCallRequest:
    return StreamingOutputCallRequest(
        response_parameters=[ResponseParameters(size=size) for size in sizes],
        payload=body(sends),
    )


def ending(code: int, message: str) -> EchoStatus:
    return EchoStatus(code=code, message=message)


async def sizes_of(replies: Incoming[StreamingOutputCallResponse]) -> list[int]:
    return [len(reply.payload.body) async for reply in replies]


async def test_empty_unary(client: testing_kratos.TestServiceClient) -> None:
    assert await client.empty_call(Empty()) == Empty()


async def test_large_unary(client: testing_kratos.TestServiceClient) -> None:
    request = SimpleRequest(response_size=LARGE_REPLY, payload=body(LARGE_REQUEST))
    assert (await client.unary_call(request)).payload == body(LARGE_REPLY)


async def test_client_streaming(client: testing_kratos.TestServiceClient) -> None:
    requests = [StreamingInputCallRequest(payload=body(size)) for size in REQUEST_SIZES]
    reply = await client.streaming_input_call(requests)
    assert reply.aggregated_payload_size == sum(REQUEST_SIZES)


async def test_server_streaming(client: testing_kratos.TestServiceClient) -> None:
    async with client.streaming_output_call(asking(*REPLY_SIZES)) as replies:
        assert await sizes_of(replies) == list(REPLY_SIZES)


async def test_ping_pong(client: testing_kratos.TestServiceClient) -> None:
    got: list[int] = []
    async with client.full_duplex_call() as stream:
        for sent, due in zip(REQUEST_SIZES, REPLY_SIZES, strict=True):
            await stream.send(asking(due, sends=sent))
            got.append(len((await anext(stream)).payload.body))
        await stream.end()
        assert await sizes_of(stream) == []
    assert got == list(REPLY_SIZES)


async def test_half_duplex(client: testing_kratos.TestServiceClient) -> None:
    async with client.half_duplex_call() as stream:
        for sent, due in zip(REQUEST_SIZES, REPLY_SIZES, strict=True):
            await stream.send(asking(due, sends=sent))
        await stream.end()
        assert await sizes_of(stream) == list(REPLY_SIZES)


async def test_empty_stream(client: testing_kratos.TestServiceClient) -> None:
    async with client.full_duplex_call() as stream:
        await stream.end()
        assert await sizes_of(stream) == []


async def test_timeout_on_sleeping_server(caller: Client) -> None:
    options = CallOptions(timeout=0.001)
    method = testing_kratos.TEST_SERVICE_FULL_DUPLEX_CALL

    async def converse() -> None:
        async with caller.bidi_stream(method, options) as stream:
            await stream.send(asking(sends=27182))
            await sizes_of(stream)

    with pytest.raises(Error) as failure:
        await converse()
    assert (failure.value.code, failure.value.reason) == (504, "DEADLINE_EXCEEDED")


async def test_cancel_after_begin(client: testing_kratos.TestServiceClient) -> None:
    begun = asyncio.Event()
    closed = asyncio.Event()

    async def requests() -> AsyncIterator[StreamingInputCallRequest]:
        try:
            begun.set()
            await asyncio.Event().wait()
            yield StreamingInputCallRequest()
        finally:
            closed.set()

    calling = asyncio.create_task(client.streaming_input_call(requests()))
    await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert closed.is_set()


async def test_cancel_after_first_response(client: testing_kratos.TestServiceClient) -> None:
    async with client.full_duplex_call() as stream:
        await stream.send(asking(31415, sends=27182))
        assert len((await anext(stream)).payload.body) == 31415
    with pytest.raises(Error) as failure:
        await anext(stream)
    assert (failure.value.code, failure.value.reason) == (499, "CANCELLED")


async def test_status_code_and_message(client: testing_kratos.TestServiceClient) -> None:
    status = ending(2, "test status message")
    failures: list[Error] = []
    with pytest.raises(Error) as failure:
        await client.unary_call(SimpleRequest(response_status=status))
    failures.append(failure.value)
    async with client.full_duplex_call() as stream:
        await stream.send(StreamingOutputCallRequest(response_status=status))
        await stream.end()
        with pytest.raises(Error) as failure:
            await anext(stream)
    failures.append(failure.value)
    assert [(each.grpc_code, each.code, each.message) for each in failures] == [
        (2, 500, "test status message")
    ] * 2


async def test_special_status_message(client: testing_kratos.TestServiceClient) -> None:
    with pytest.raises(Error) as failure:
        await client.unary_call(SimpleRequest(response_status=ending(2, SPECIAL)))
    assert failure.value.message == SPECIAL


async def test_custom_metadata(caller: Client) -> None:
    ended: list[Call] = []
    options = CallOptions(
        timeout=60.0,
        headers={INITIAL: "test_initial_metadata_value", TRAILING: "CgsKCwoL"},
        on_end=ended.append,
    )
    client = testing_kratos.TestServiceClient(caller)
    await client.unary_call(SimpleRequest(response_size=1, payload=body(1)), options=options)
    async with client.full_duplex_call(options=options) as stream:
        await stream.send(asking(1, sends=1))
        await anext(stream)
        assert stream.headers.values(INITIAL) == ["test_initial_metadata_value"]
        await stream.end()
        assert await sizes_of(stream) == []
    assert [echoed(call) for call in ended] == [
        (["test_initial_metadata_value"], b"\x0a\x0b\x0a\x0b\x0a\x0b")
    ] * 2


def echoed(call: Call) -> tuple[list[str], bytes | None]:
    return call.reply_headers.values(INITIAL), call.trailers.get_bytes(TRAILING)


async def test_unimplemented_method(client: testing_kratos.TestServiceClient) -> None:
    with pytest.raises(Error) as failure:
        await client.unimplemented_call(Empty())
    assert failure.value.code == 501


async def test_unimplemented_service(caller: Client) -> None:
    with pytest.raises(Error) as failure:
        await testing_kratos.UnimplementedServiceClient(caller).unimplemented_call(Empty())
    assert (failure.value.code, failure.value.message) == (
        501,
        "unknown service grpc.testing.UnimplementedService",
    )


async def test_rpc_soak(client: testing_kratos.TestServiceClient) -> None:
    assert set(await soaked(client for _ in range(60))) == {LARGE_REPLY}


async def test_channel_soak(their_server: str, tls: bool, certificates: Any, engine: Any) -> None:
    connector = GrpcConnector(tls=ClientTls(ca=certificates.root), engine=engine)
    target = f"{'grpcs' if tls else 'grpc'}://{their_server}"
    for _ in range(10):
        async with Client(target, transport=connector, timeout=60.0) as fresh:
            client = testing_kratos.TestServiceClient(fresh)
            assert set(await soaked(client for _ in range(6))) == {LARGE_REPLY}


async def soaked(clients: Iterable[testing_kratos.TestServiceClient]) -> list[int]:
    """Call with each client, all at once, and return the sizes of the replies."""
    request = SimpleRequest(response_size=LARGE_REPLY, payload=body(LARGE_REQUEST))
    calls = [each.unary_call(request, options=PATIENCE) for each in clients]
    replies = await asyncio.gather(*calls)
    return [len(reply.payload.body) for reply in replies]


async def test_orca_per_rpc(caller: Client, engine: str) -> None:
    ended: list[Call] = []
    options = CallOptions(timeout=60.0, on_end=ended.append)
    report = testing_pb2.TestOrcaReport(cpu_utilization=0.8210, memory_utilization=0.5847)
    client = testing_kratos.TestServiceClient(caller)
    await client.unary_call(SimpleRequest(orca_per_query_report=report), options=options)
    told = ended[0].trailers.get_bytes(LOAD)
    if engine == "grpcio":  # whose core keeps that trailer from whoever calls
        assert told is None
    else:
        assert told is not None
        assert OrcaLoadReport.FromString(told) == OrcaLoadReport(
            cpu_utilization=0.8210, mem_utilization=0.5847
        )


async def test_orca_oob(caller: Client) -> None:
    report = testing_pb2.TestOrcaReport(cpu_utilization=0.29309, utilization={"util": 0.2039})
    async with testing_kratos.TestServiceClient(caller).full_duplex_call() as stream:
        request = asking(1)
        request.orca_oob_report.CopyFrom(report)
        await stream.send(request)
        await anext(stream)
        # The server tells at once what it knows, and the next time after half a minute.
        opening = OpenRcaServiceClient(caller).stream_core_metrics(OrcaLoadReportRequest())
        async with opening as reports:
            told = await anext(reports)
    assert told == OrcaLoadReport(cpu_utilization=0.29309, utilization={"util": 0.2039})
