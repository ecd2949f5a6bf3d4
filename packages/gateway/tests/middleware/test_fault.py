"""Faults on purpose."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from kratos.errors import ConfigError
from kratos.testing.clock import FakeClock
from kratos_gateway.api.fault_pb2 import Fault
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.exchange import Handler
from kratos_gateway.middleware import Context
from kratos_gateway.middleware.testing import Backend, behind, request_to

ABORT = Fault.Abort(status=503)
SECOND = Duration(seconds=1)


def faulty(backend: Backend, clock: FakeClock | None = None, **options: Any) -> Handler:
    return behind(backend, "fault", Fault(**options), context=Context(clock=clock or FakeClock()))


async def test_request_is_answered_in_place_of_the_back_end() -> None:
    backend = Backend()
    answer = await faulty(backend, abort=Fault.Abort(status=418, message="tea"))(request_to())
    assert isinstance(answer.body, bytes)
    told = json.loads(answer.body)
    assert (answer.status, told["reason"], told["message"]) == (418, "FAULT_INJECTED", "tea")
    assert not backend.requests


async def test_call_of_grpc_gets_a_status_of_grpc() -> None:
    sent = [("Content-Type", "application/grpc")]
    request = request_to(headers=sent, endpoint=Endpoint(protocol=GRPC))
    answer = await faulty(Backend(), abort=ABORT)(request)
    assert (answer.status, answer.header(b"grpc-status")) == (200, b"14")


async def test_request_waits_before_the_back_end_is_asked() -> None:
    clock, backend = FakeClock(), Backend()
    handler = faulty(backend, clock, delay=Fault.Delay(time=SECOND))
    task = asyncio.ensure_future(handler(request_to()))
    await clock.advance(0.9)
    assert not backend.requests
    await clock.advance(0.2)
    assert (await task).status == 200


async def test_delay_is_before_the_error() -> None:
    clock = FakeClock()
    handler = faulty(Backend(), clock, delay=Fault.Delay(time=SECOND), abort=ABORT)
    task = asyncio.ensure_future(handler(request_to()))
    await clock.advance(0.9)
    assert not task.done()
    await clock.advance(0.2)
    assert (await task).status == 503


async def test_share_of_requests_fails() -> None:
    random.seed(1)
    backend = Backend()
    handler = faulty(backend, abort=Fault.Abort(status=500, share=0.25))
    for _ in range(400):
        await handler(request_to())
    assert 260 < len(backend.requests) < 340


@pytest.mark.parametrize(
    ("header", "sent", "status"),
    [
        ("X-Fault", [("X-Fault", "")], 503),
        ("X-Fault", [], 200),
        ("X-Fault: yes", [("X-Fault", "no"), ("X-Fault", "yes")], 503),
        ("X-Fault: yes", [("X-Fault", "no")], 200),
    ],
)
async def test_header_tells_whose_requests_fail(
    header: str, sent: list[tuple[str, str]], status: int
) -> None:
    handler = faulty(Backend(), abort=ABORT, header=header)
    assert (await handler(request_to(headers=sent))).status == status


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Fault(), "write delay or abort"),
        (Fault(delay=Fault.Delay()), "delay.time is more than 0 s and at most 3600 s"),
        (Fault(delay=Fault.Delay(time=Duration(seconds=3601))), "at most 3600 s"),
        (Fault(delay=Fault.Delay(time=SECOND, share=2)), "delay.share must be .* not 2"),
        (Fault(abort=Fault.Abort()), "one of 400 to 599, not 0"),
        (Fault(abort=Fault.Abort(status=503, share=-1)), "abort.share must be .* not -1"),
        (Fault(abort=ABORT, header="a b"), "no name of a header"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: Fault, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "fault", options)
