"""Back ends that fail are left alone (Go: middleware/circuitbreaker)."""

from __future__ import annotations

import asyncio
import random

import pytest
from google.protobuf.duration_pb2 import Duration

from kratos.errors import ConfigError, Error
from kratos.metrics import MemoryMeter
from kratos_gateway.api.circuitbreaker_pb2 import (
    BackupService,
    CircuitBreaker,
    Header,
    ResponseData,
    SuccessRatio,
)
from kratos_gateway.api.gateway_pb2 import HTTP, Condition, Endpoint
from kratos_gateway.api.gateway_pb2 import Backend as BackendConfig
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware import Context, create
from kratos_gateway.middleware.circuitbreaker import Ratio
from kratos_gateway.middleware.testing import Backend, Pieces, behind, configured, request_to

EAGER = SuccessRatio(success=0.6, request=1, bucket=10, window=Duration(seconds=3))
OK = Condition(by_status_code="200-299")


@pytest.fixture(autouse=True)
def _same_chances() -> None:
    random.seed(1)


async def test_answers_that_meet_no_condition_open_it_and_are_passed_on_until_then() -> None:
    backend = Backend(Answer(500, body=b"broken"))
    handler = behind(
        backend, "circuitbreaker", CircuitBreaker(success_ratio=EAGER, assert_condtions=[OK])
    )
    answers = [await handler(request_to()) for _ in range(200)]
    assert answers[0].body == b"broken"
    refused = [answer for answer in answers if answer.status == 503]
    assert len(refused) > 150
    assert (refused[0].headers, refused[0].body) == ([], b"")
    assert len(backend.requests) == 200 - len(refused)


@pytest.mark.parametrize(
    ("error", "uploading"),
    [
        (Error(413, "BODY_TOO_LARGE"), False),
        (Error(400, "BAD_REQUEST"), False),
        (Error(499, "CANCELLED"), False),
        (ValueError("a header cannot be sent"), False),
        (TimeoutError(), True),
    ],
)
async def test_faults_of_one_client_keep_no_other_out(error: Exception, uploading: bool) -> None:
    backend = Backend(*([error] * 200), Answer(200))
    handler = behind(backend, "circuitbreaker", CircuitBreaker(success_ratio=EAGER))
    for _ in range(200):
        request = request_to()
        request.options.is_uploading = lambda: uploading
        with pytest.raises(type(error)):
            await handler(request)
    assert (await handler(request_to())).status == 200


@pytest.mark.parametrize(
    "error", [ConnectionError("gone"), TimeoutError(), Error(503, "UNAVAILABLE")]
)
async def test_what_is_not_answered_opens_it(error: Exception) -> None:
    handler = behind(Backend(error), "circuitbreaker", CircuitBreaker(success_ratio=EAGER))
    refused = 0
    for _ in range(200):
        try:
            refused += (await handler(request_to())).status == 503
        except type(error):
            pass
    assert refused > 150


async def test_without_conditions_every_answer_is_a_success() -> None:
    backend = Backend(Answer(500))
    handler = behind(backend, "circuitbreaker", CircuitBreaker(success_ratio=EAGER))
    assert {(await handler(request_to())).status for _ in range(100)} == {500}


async def test_without_a_trigger_everything_passes() -> None:
    handler = behind(Backend(Answer(500)), "circuitbreaker", CircuitBreaker(assert_condtions=[OK]))
    assert {(await handler(request_to())).status for _ in range(100)} == {500}


async def test_endpoints_have_breakers_of_their_own() -> None:
    message = configured(
        "circuitbreaker", CircuitBreaker(success_ratio=EAGER, assert_condtions=[OK])
    )
    made = create(message, context=Context())
    bad = made.wrap(Backend(Answer(500)), Endpoint(path="/bad"))
    good = made.wrap(Backend(Answer(200)), Endpoint(path="/good"))
    for _ in range(100):
        await bad(request_to())
    assert {(await good(request_to())).status for _ in range(100)} == {200}


@pytest.mark.parametrize(("ratio", "passed"), [(0, 0), (10_000, 1000), (2_500, 250)])
async def test_ratio_of_ten_thousand_passes(ratio: int, passed: int) -> None:
    backend = Backend()
    handler = behind(backend, "circuitbreaker", CircuitBreaker(ratio=ratio))
    for _ in range(1000):
        await handler(request_to())
    assert abs(len(backend.requests) - passed) <= (0 if ratio in (0, 10_000) else 60)


def test_ratio_is_exact_at_its_border() -> None:
    assert Ratio(5_000, draw=lambda: 0.4999).allow() is not None
    assert Ratio(5_000, draw=lambda: 0.5).allow() is None


async def test_constant_answer_takes_the_place_of_back_ends() -> None:
    data = ResponseData(
        status_code=418, header=[Header(key="X-A", value=["1", "2"])], body=b'{"a":1}'
    )
    handler = behind(Backend(), "circuitbreaker", CircuitBreaker(ratio=0, response_data=data))
    first, second = await handler(request_to()), await handler(request_to())
    first.headers.clear()  # one request's answer is not the next one's
    assert second == Answer(
        418,
        [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-type", b"text/plain; charset=utf-8")],
        b'{"a":1}',
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!DOCTYPE html><p>", b"text/html; charset=utf-8"),
        (b"\xff\xfe", b"application/octet-stream"),
        (b"", b""),
    ],
)
async def test_kind_of_a_constant_body_is_found_by_its_bytes(body: bytes, kind: bytes) -> None:
    options = CircuitBreaker(ratio=0, response_data=ResponseData(body=body))
    answer = await behind(Backend(), "circuitbreaker", options)(request_to())
    assert (answer.status, answer.header(b"content-type")) == (200, kind)


class Backup:
    """A backup service, as the proxy has them."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.closed = 0

    async def __call__(self, request: Request, /) -> Answer:
        self.asked.append(request)
        return Answer(203, body=b"from the backup")

    async def aclose(self) -> None:
        self.closed += 1


async def test_backup_service_is_asked_in_place_of_back_ends_and_closed_with_the_middleware() -> (
    None
):
    backup = Backup()
    wanted: list[Endpoint] = []

    def upstream(endpoint: Endpoint) -> Backup:
        wanted.append(endpoint)
        return backup

    service = BackupService(endpoint=Endpoint(backends=[BackendConfig(target="127.0.0.1:8001")]))
    message = configured("circuitbreaker", CircuitBreaker(ratio=0, backup_service=service))
    made = create(message, context=Context(upstream=upstream))
    request = request_to("/a", body=Pieces(b"whole"))
    answer = await made.wrap(Backend(), Endpoint())(request)
    assert (answer.status, answer.body) == (203, b"from the backup")
    assert backup.asked == [request]
    assert wanted == [service.endpoint]
    await made.aclose()
    await made.aclose()
    assert backup.closed == 1


async def test_denied_requests_are_counted_under_the_labels_of_go() -> None:
    meter = MemoryMeter()
    endpoint = Endpoint(
        path="/a/*", method="get", protocol=HTTP, metadata={"service": "s", "basePath": "/b"}
    )
    handler = behind(
        Backend(),
        "circuitbreaker",
        CircuitBreaker(ratio=0),
        endpoint=endpoint,
        context=Context(meter=meter),
    )
    await handler(request_to())
    await handler(request_to())
    labels = {"protocol": "HTTP", "method": "get", "path": "/a/*", "service": "s", "basePath": "/b"}
    assert meter.value("go_gateway_requests_circuit_breaker_denied_total", **labels) == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (CircuitBreaker(ratio=10_001), "0 to 10000, not 10001"),
        (CircuitBreaker(success_ratio=SuccessRatio(success=1.5)), "successRatio: success must be"),
        (CircuitBreaker(success_ratio=SuccessRatio(window=Duration(seconds=-1))), "window"),
        (CircuitBreaker(ratio=1, response_data=ResponseData(status_code=99)), "statusCode"),
        (CircuitBreaker(ratio=1, backup_service=BackupService()), "no backends"),
        (CircuitBreaker(assert_condtions=[Condition()]), "a condition is empty"),
    ],
)
def test_options_out_of_range_are_refused(options: CircuitBreaker, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        behind(Backend(), "circuitbreaker", options)


@pytest.mark.parametrize(("late", "opened"), [(True, True), (False, False)])
async def test_attempt_whose_time_is_over_is_a_failure_and_one_that_is_left_says_nothing(
    late: bool, opened: bool
) -> None:
    handler = behind(cancelled, "circuitbreaker", CircuitBreaker(success_ratio=EAGER))
    refused = 0
    for _ in range(100):
        request = request_to()
        request.options.is_late = lambda: late
        try:
            refused += (await handler(request)).status == 503
        except asyncio.CancelledError:
            pass
    assert (refused > 50) is opened
    assert opened or not refused


async def cancelled(_request: Request, /) -> Answer:
    raise asyncio.CancelledError
