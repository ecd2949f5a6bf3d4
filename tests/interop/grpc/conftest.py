"""Both ends of gRPC's interoperability tests: ours, served here, and Go's, as programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme
from interop.suite import testing_kratos
from interop.suite.load_report_pb2 import OrcaLoadReport
from interop.suite.load_service_kratos import OpenRcaService
from interop.suite.load_service_pb2 import OrcaLoadReportRequest
from interop.suite.testing_pb2 import (
    EchoStatus,
    Empty,
    Payload,
    ResponseParameters,
    SimpleRequest,
    SimpleResponse,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
    TestOrcaReport,
)

from kratos import App, Error, server_call
from kratos.errors import from_grpc_code
from kratos.middleware import recovery
from kratos.testing.app import running
from kratos.tls import ServerTls
from kratos.transport import Call, Missing
from kratos_grpc import GrpcServer

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"
LOAD = "endpoint-load-metrics-bin"


class Load:
    """How busy the server is said to be; wakes those who watch."""

    def __init__(self) -> None:
        self.report = OrcaLoadReport()
        self._changed = asyncio.Condition()

    async def put(self, report: OrcaLoadReport) -> None:
        async with self._changed:
            self.report = report
            self._changed.notify_all()

    async def after(self, known: OrcaLoadReport | None) -> OrcaLoadReport:
        async with self._changed:
            await self._changed.wait_for(lambda: self.report is not known)
            return self.report


@dataclass(eq=False)
class Service(testing_kratos.TestService):
    """All of TestService but the method that no server has."""

    load: Load = field(default_factory=Load)
    cancelled: asyncio.Queue[Call] = field(default_factory=asyncio.Queue[Call])

    async def empty_call(self, request: Empty, /) -> Empty:
        return Empty()

    async def unary_call(self, request: SimpleRequest, /) -> SimpleResponse:
        call = echo_metadata()
        fail_as_asked(request.response_status)
        if request.HasField("orca_per_query_report"):
            report = report_of(request.orca_per_query_report)
            call.trailers.add_bytes(LOAD, report.SerializeToString())
        server_id = "kratos" if request.fill_server_id else ""
        return SimpleResponse(payload=payload(request.response_size), server_id=server_id)

    async def streaming_output_call(
        self, request: StreamingOutputCallRequest, /
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        async for reply in replies_to(request.response_parameters):
            yield reply

    async def streaming_input_call(
        self, requests: AsyncIterator[StreamingInputCallRequest], /
    ) -> StreamingInputCallResponse:
        total = 0
        call = current()
        try:
            async for request in requests:
                total += len(request.payload.body)
        except asyncio.CancelledError:
            self.cancelled.put_nowait(call)
            raise
        return StreamingInputCallResponse(aggregated_payload_size=total)

    async def full_duplex_call(
        self, requests: AsyncIterator[StreamingOutputCallRequest], /
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        call = echo_metadata()
        try:
            async for request in requests:
                fail_as_asked(request.response_status)
                if request.HasField("orca_oob_report"):
                    await self.load.put(report_of(request.orca_oob_report))
                async for reply in replies_to(request.response_parameters):
                    yield reply
        except (asyncio.CancelledError, GeneratorExit):  # the latter while a reply is sent
            self.cancelled.put_nowait(call)
            raise

    async def half_duplex_call(
        self, requests: AsyncIterator[StreamingOutputCallRequest], /
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        for request in [request async for request in requests]:
            async for reply in replies_to(request.response_parameters):
                yield reply


@dataclass(eq=False)
class LoadService(OpenRcaService):
    """Tells the load at once, and then whenever it changes."""

    load: Load

    async def stream_core_metrics(
        self, request: OrcaLoadReportRequest, /
    ) -> AsyncIterator[OrcaLoadReport]:
        told: OrcaLoadReport | None = None
        while True:
            told = await self.load.after(told)
            yield told


def current() -> Call:
    call = server_call()
    assert call is not None
    return call


def echo_metadata() -> Call:
    """Send back what the test asks for, as header and as trailer."""
    call = current()
    if INITIAL in call.headers:
        call.reply_headers.set(INITIAL, call.headers.get(INITIAL))
    if TRAILING in call.headers:
        call.trailers.set(TRAILING, call.headers.get(TRAILING))
    return call


def fail_as_asked(status: EchoStatus) -> None:
    if status.code:
        error = Error(from_grpc_code(status.code), "", status.message)
        raise error.with_grpc_code(status.code)


def payload(size: int) -> Payload:
    return Payload(body=bytes(size))


def report_of(asked: TestOrcaReport) -> OrcaLoadReport:
    return OrcaLoadReport(
        cpu_utilization=asked.cpu_utilization,
        mem_utilization=asked.memory_utilization,
        request_cost=asked.request_cost,
        utilization=asked.utilization,
    )


async def replies_to(
    parameters: Iterable[ResponseParameters],
) -> AsyncIterator[StreamingOutputCallResponse]:
    for each in parameters:
        await asyncio.sleep(each.interval_us / 1e6)
        yield StreamingOutputCallResponse(payload=payload(each.size))


@dataclass(frozen=True)
class Certificates:
    """A root, and what it issued for loopback, as files and in memory."""

    root: Path
    chain: Path
    key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    found = Certificates(folder / "root.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(found.root)
    for each in issued.cert_chain_pems:
        each.write_to_path(found.chain, append=True)
    issued.private_key_pem.write_to_path(found.key)
    return found


@dataclass(frozen=True)
class Ours:
    """Our server, and what it serves."""

    address: str
    service: Service


@pytest.fixture
def tls() -> bool:
    """Whether the server of a test speaks TLS; for ``parametrize``."""
    return False


@pytest_asyncio.fixture
async def our_server(tls: bool, certificates: Certificates, engine: Any) -> AsyncIterator[Ours]:
    """Our server of the tests, running."""
    incomplete: type[Any] = Service  # which is an error to type checkers otherwise
    service: Service = incomplete()
    secret = ServerTls(certificate=certificates.chain, key=certificates.key) if tls else None
    server = GrpcServer("127.0.0.1:0", tls=secret, timeout=None, engine=engine)
    app = App(
        name="suite",
        services=[service, LoadService(service.load)],
        missing=Missing.UNIMPLEMENTED,
        middleware=[recovery()],
        servers=[server],
        signals=(),
    )
    async with running(app):
        yield Ours(app.endpoints[0].partition("://")[2], service)


@pytest_asyncio.fixture
async def their_server(
    tls: bool, certificates: Certificates, grpc_suite: Path
) -> AsyncIterator[str]:
    """Address of the server of the tests that grpc-go has, running."""
    files = (certificates.chain, certificates.key) if tls else ()
    process = await asyncio.create_subprocess_exec(
        grpc_suite / "server",
        *files,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with AsyncExitStack() as leaving:
        leaving.push_async_callback(process.wait)
        leaving.callback(process.stdin.close)
        yield (await process.stdout.readline()).decode().strip()
    assert process.returncode == 0
