"""From a name in the configuration to a middleware."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos.metrics import MemoryMeter
from kratos.plugins import register
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.cors_pb2 import Cors
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.logging_pb2 import Logging
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware import GROUP, Context, Plain, create
from kratos_gateway.middleware.testing import Backend, configured, request_to


class Marking:
    """A middleware of somebody else, that notes what becomes of it."""

    def __init__(self) -> None:
        self.closed = 0

    def wrap(self, handler: Handler, _endpoint: Endpoint, /) -> Handler:
        async def marked(request: Request, /) -> Answer:
            answer = await handler(request)
            answer.headers.append((b"x-marked", b"yes"))
            return answer

        return marked

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def marking() -> Iterator[Marking]:
    made = Marking()

    def build(_options: AnyMessage | None, _context: Context) -> Middleware:
        return made

    undo = register(GROUP, "marking", build)
    yield made
    undo()


@pytest.fixture
def broken() -> Iterator[None]:
    def build(_options: AnyMessage | None, _context: Context) -> Middleware:
        raise RuntimeError("the moon is in the wrong place")

    undo = register(GROUP, "broken", build)
    yield
    undo()


@pytest.mark.parametrize("name", ["marking", "Marking", " MARKING "])
async def test_name_is_found_in_any_case(marking: Marking, name: str) -> None:
    made = create(configured(name), context=Context())
    answer = await made.wrap(Backend(), Endpoint())(request_to())
    assert answer.headers == [(b"x-marked", b"yes")]
    assert made is marking


@pytest.mark.parametrize("name", ["", "nothing-like-it"])
def test_required_middleware_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="middleware"):
        create(configured(name), context=Context())


def test_slip_of_the_pen_is_told() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cors'"):
        create(configured("corss"), context=Context())


@pytest.mark.usefixtures("broken")
def test_required_middleware_that_fails_is_refused_with_its_reason() -> None:
    with pytest.raises(ConfigError, match=r"'broken': RuntimeError: the moon is in the wrong"):
        create(configured("broken"), context=Context())


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("name", ["broken", "nothing-like-it"])
async def test_optional_middleware_that_fails_is_left_out_logged_and_counted(name: str) -> None:
    logger, meter = MemoryLogger(), MemoryMeter()
    made = create(configured(name, required=False), context=Context(logger=logger, meter=meter))
    backend = Backend(Answer(204))
    assert (await made.wrap(backend, Endpoint())(request_to("/a"))).status == 204
    await made.aclose()
    counted = meter.value("go_gateway_failed_middleware_create", name=name, required="false")
    assert counted == 1
    [(_, message, fields)] = logger.records
    assert message == "a middleware is left out"
    assert name in str(fields["error"])


def test_options_of_another_type_are_refused_with_the_one_that_is_meant() -> None:
    wanted = r'write "@type": "type.googleapis.com/gateway.middleware.cors.v1.Cors"'
    with pytest.raises(ConfigError, match=wanted):
        create(configured("cors", Logging()), context=Context())


def test_options_that_are_no_message_are_refused() -> None:
    message = configured("cors", Cors())
    message.options.value = b"\xff\xff"
    with pytest.raises(ConfigError, match=r"no message of type gateway\.middleware\.cors"):
        create(message, context=Context())


async def test_what_a_plain_middleware_holds_is_given_back_once() -> None:
    closed: list[int] = []

    async def close() -> None:
        closed.append(1)

    plain = Plain(lambda handler, _endpoint: handler, close=close)
    await plain.aclose()
    await plain.aclose()
    assert closed == [1]


@pytest.mark.parametrize("name", ["basicauth", "extauth", "IpFilter", "jwt", "keyauth"])
def test_what_decides_who_is_let_in_is_never_left_out(name: str) -> None:
    with pytest.raises(ConfigError, match=f"middleware '{name}'"):
        create(configured(name, Logging(), required=False), context=Context())
