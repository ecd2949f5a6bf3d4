"""A record of each attempt (Go: middleware/logging)."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from kratos.errors import Error
from kratos.log import Level
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.middleware import Context
from kratos_gateway.middleware.recorder import Stream
from kratos_gateway.middleware.testing import Backend, Pieces, behind, request_to


async def test_record_of_an_attempt_has_the_fields_of_go() -> None:
    logger = MemoryLogger()
    request = request_to("/a/b?c=d", method="POST", host="gateway.test:81")
    request.options.backends += ["10.0.0.1:80", "10.0.0.2:80"]
    request.options.upstream_status_code += [503, 201]
    request.options.upstream_response_time += [0.25, 0.5]
    request.options.last_attempt = True
    handler = behind(Backend(Answer(201)), "logging", context=Context(logger=logger))
    await handler(request)
    [(level, _, fields)] = logger.records
    latency = fields.pop("latency")
    assert isinstance(latency, float)
    assert level == Level.INFO
    assert fields == {
        "source": "accesslog",
        "host": "gateway.test:81",
        "method": "POST",
        "scheme": "http",
        "path": "/a/b",
        "query": "c=d",
        "code": 201,
        "error": "",
        "backend": "10.0.0.1:80,10.0.0.2:80",
        "backend_code": [503, 201],
        "backend_latency": [0.25, 0.5],
        "last_attempt": True,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError("nobody is there"), 502),
        (TimeoutError(), 504),
        (Error(413, "TOO_LARGE", "too much"), 413),
    ],
)
async def test_attempt_without_an_answer_is_an_error_and_raised_on(
    error: Exception, code: int
) -> None:
    logger = MemoryLogger()
    handler = behind(Backend(error), "logging", context=Context(logger=logger))
    with pytest.raises(type(error)):
        await handler(request_to())
    [(level, _, fields)] = logger.records
    assert (level, fields["code"]) == (Level.ERROR, code)
    assert fields["error"] == (str(error) or "TimeoutError")


async def test_attempt_whose_client_went_away_is_logged_as_499() -> None:
    logger = MemoryLogger()
    asked = asyncio.Event()

    async def endless(_request: object, /) -> Answer:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return Answer(200)

    handler = behind(endless, "logging", context=Context(logger=logger))
    task = asyncio.ensure_future(handler(request_to()))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert logger.records[0][2]["code"] == 499


async def test_attempt_whose_time_is_over_is_logged_as_504() -> None:
    async def cancelled(_request: object, /) -> Answer:
        raise asyncio.CancelledError

    logger, request = MemoryLogger(), request_to()
    request.options.is_late = lambda: True
    with pytest.raises(asyncio.CancelledError):
        await behind(cancelled, "logging", context=Context(logger=logger))(request)
    [(_, _, fields)] = logger.records
    assert (fields["code"], fields["error"]) == (504, "its time is over")


def of_streams(backend: Backend, logger: MemoryLogger, *inner: str) -> Handler:
    context, handler = Context(logger=logger), cast("Handler", backend)
    for name in (*inner, "logging"):
        handler = behind(handler, name, endpoint=Endpoint(stream=True), context=context)
    return handler


async def test_answer_of_an_endpoint_of_streams_is_logged_when_it_has_ended() -> None:
    logger = MemoryLogger()
    answer = await of_streams(Backend(Answer(200, [], Pieces(b"a"))), logger)(request_to())
    assert not isinstance(answer.body, bytes)
    assert await answer.body.read() == b"a"
    assert not logger.records
    assert await answer.body.read() == b""
    answer.body.close()
    [(level, _, fields)] = logger.records
    assert (level, fields["code"], fields["error"], fields["stream"]) == (
        Level.INFO,
        200,
        "",
        True,
    )
    assert "stream_body" not in fields


@pytest.mark.parametrize("broken", [True, False])
async def test_stream_that_breaks_off_or_is_left_is_an_error_with_its_status(
    broken: bool,
) -> None:
    logger = MemoryLogger()
    answer = Answer(200, [], Pieces(ConnectionError("lost")))
    answer = await of_streams(Backend(answer), logger)(request_to())
    assert not isinstance(answer.body, bytes)
    if broken:
        with pytest.raises(ConnectionError):
            await answer.body.read()
    answer.body.close()
    [(level, _, fields)] = logger.records
    assert (level, fields["code"], bool(fields["error"])) == (Level.ERROR, 200, True)


async def test_stream_that_is_recorded_is_told_with_its_log() -> None:
    logger = MemoryLogger()
    handler = of_streams(Backend(Answer(200, [], Pieces(b"a"))), logger, "streamrecorder")
    answer = await handler(request_to(body=b"question"))
    assert not isinstance(answer.body, bytes)
    while await answer.body.read():
        pass
    fields = logger.records[0][2]
    stream = fields["stream_body"]
    assert isinstance(stream, Stream)
    assert (stream.body("request"), stream.body("response")) == (b"question", b"a")
    assert str(stream) == ("8 bytes of request, 1 bytes of response in 2 chunks, 0 bytes dropped")


async def test_whole_answer_of_an_endpoint_of_streams_is_logged_at_once() -> None:
    logger = MemoryLogger()
    await of_streams(Backend(Answer(201)), logger)(request_to())
    assert [fields["stream"] for _, _, fields in logger.records] == [True]


async def test_secrets_of_the_query_are_not_logged() -> None:
    logger = MemoryLogger()
    handler = behind(Backend(Answer(200)), "logging", context=Context(logger=logger))
    await handler(request_to("/a?api_key=s3cr3t&x=1&access_token=abc.def"))
    [(_, _, fields)] = logger.records
    assert fields["query"] == "api_key=***&x=1&access_token=***"
