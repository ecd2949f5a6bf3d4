"""One name for a request, in all logs and at all back ends."""

from __future__ import annotations

import re

import pytest

from kratos.errors import ConfigError
from kratos.log import current_fields
from kratos_gateway.api.requestid_pb2 import RequestId
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.testing import Backend, behind, request_to

TRUSTING = RequestId(trust=True)


async def ids(options: RequestId | None, sent: str) -> tuple[str, str]:
    """Return the id that the back end gets, and that the client gets."""
    backend = Backend(Answer(200, [(b"x-request-id", b"of the back end")]))
    headers = [("x-request-id", sent)] if sent else []
    answer = await behind(backend, "requestid", options)(request_to(headers=headers))
    assert sum(name == b"x-request-id" for name, _ in answer.headers) == 1
    assert sum(name == b"x-request-id" for name, _ in backend.last.headers) == 1
    there, here = (each.header(b"x-request-id").decode() for each in (backend.last, answer))
    return there, here


@pytest.mark.parametrize(
    ("options", "sent", "kept"),
    [
        (None, "mine", False),
        (TRUSTING, "mine-1", True),
        (TRUSTING, "", False),
        (TRUSTING, "a b", False),
        (TRUSTING, "x" * 129, False),
        (TRUSTING, "x" * 128, True),
    ],
)
async def test_id_is_the_clients_own_where_that_is_trusted_and_an_id(
    options: RequestId | None, sent: str, kept: bool
) -> None:
    there, here = await ids(options, sent)
    assert there == here
    assert (there == sent) is kept
    assert kept or re.fullmatch("[0-9a-f]{32}", there)


async def test_all_attempts_of_a_request_have_the_same_id() -> None:
    backend = Backend()
    handler = behind(backend, "requestid")
    request = request_to()
    await handler(request)
    await handler(request)
    await handler(request_to())
    first, again, other = (each.header(b"x-request-id") for each in backend.requests)
    assert first == again != other


async def test_records_of_logs_have_the_id() -> None:
    seen: list[object] = []

    async def inner(_request: Request, /) -> Answer:
        seen.append(current_fields()["request_id"])
        return Answer(200)

    answer = await behind(inner, "requestid", RequestId(header="X-Id"))(request_to())
    assert seen == [answer.header(b"x-id").decode()]


def test_header_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="no name of a header"):
        behind(Backend(), "requestid", RequestId(header="a b"))


async def test_client_is_told_the_id_of_a_request_without_an_answer() -> None:
    request = request_to()
    backend = Backend(ConnectionError())
    for _ in range(2):  # attempts
        with pytest.raises(ConnectionError):
            await behind(backend, "requestid")(request)
    answer = Answer(502)
    for mark in request.options.marks:
        answer = mark(answer)
    assert answer.headers == [(b"x-request-id", backend.last.header(b"x-request-id"))]
