"""Copies of requests, whose answers nobody waits for."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from kratos.errors import ConfigError
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.gateway_pb2 import Backend as Target
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.mirror_pb2 import Mirror
from kratos_gateway.exchange import Answer, Body, Handler, Middleware, Request
from kratos_gateway.middleware import Context, create
from kratos_gateway.middleware.testing import Backend, Pieces, configured, request_to

SHADOW = Endpoint(backends=[Target(target="127.0.0.1:9001")])


class Shadow(Backend):
    """Who gets copies."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__(*answers)
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


def mirrored(
    shadow: Any, backend: Backend, logger: MemoryLogger | None = None, **options: Any
) -> tuple[Middleware, Handler]:
    context = Context(upstream=lambda _endpoint: shadow, logger=logger or MemoryLogger())
    made = create(configured("mirror", Mirror(endpoint=SHADOW, **options)), context=context)
    return made, made.wrap(backend, Endpoint())


async def settled() -> None:
    """Let copies end that wait for nothing."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_copy_goes_to_others_and_the_answer_comes_from_the_back_end() -> None:
    body = Pieces(b"a", b"b")
    shadow, backend = Shadow(Answer(500, body=body)), Backend(Answer(201))
    made, handler = mirrored(shadow, backend)
    request = request_to("/a?b", method="POST", headers=[("X-A", "1")], body=b"body")
    assert (await handler(request)).status == 201
    await settled()
    copy = shadow.last
    assert (copy.method, copy.path, copy.query, copy.body) == ("POST", "/a", "b", b"body")
    assert copy.headers == [(b"x-a", b"1"), (b"x-mirrored", b"true")]
    assert copy.options is not request.options
    assert backend.last.headers == [(b"x-a", b"1")]
    assert body.closed
    await made.aclose()
    assert shadow.closed == 1


@pytest.mark.parametrize("error", [ConnectionError("gone"), TimeoutError()])
async def test_copy_that_fails_is_nobodys_business(error: Exception) -> None:
    logger = MemoryLogger()
    made, handler = mirrored(Shadow(error), Backend(), logger)
    assert (await handler(request_to())).status == 200
    await settled()
    assert logger.messages() == ["a copy of a request came to no answer"]
    await made.aclose()


@pytest.mark.parametrize(
    ("body", "headers"), [(Pieces(b"a"), []), (b"", [("Sec-WebSocket-Key", "a")])]
)
async def test_bodies_in_pieces_and_handshakes_are_not_copied(
    body: bytes | Body, headers: list[tuple[str, str]]
) -> None:
    shadow = Shadow()
    made, handler = mirrored(shadow, Backend())
    await handler(request_to(body=body, headers=headers))
    await settled()
    assert not shadow.requests
    await made.aclose()


async def test_further_attempts_are_not_copied() -> None:
    shadow, request = Shadow(), request_to()
    made, handler = mirrored(shadow, Backend())
    for _ in range(3):
        await handler(request)
    await settled()
    assert len(shadow.requests) == 1
    await made.aclose()


async def test_share_of_requests_is_copied() -> None:
    random.seed(1)
    shadow = Shadow()
    made, handler = mirrored(shadow, Backend(), share=0.25, max_pending=1000)
    for _ in range(400):
        await handler(request_to())
    await settled()
    assert 60 < len(shadow.requests) < 140
    await made.aclose()


async def test_no_more_copies_are_under_way_than_may_be_and_closing_ends_them() -> None:
    cancelled: list[Request] = []

    class Hanging(Shadow):
        async def __call__(self, request: Request, /) -> Answer:
            try:
                return await asyncio.shield(asyncio.get_running_loop().create_future())
            except asyncio.CancelledError:
                cancelled.append(request)
                raise

    made, handler = mirrored(Hanging(), Backend(), max_pending=2)
    for _ in range(5):
        await handler(request_to())
    await settled()
    await made.aclose()
    assert len(cancelled) == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(Mirror(), "no backends"), (Mirror(endpoint=SHADOW, share=1.5), "at most 1, not 1.5")],
)
def test_options_that_cannot_be_meant_are_refused(options: Mirror, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        create(configured("mirror", options), context=Context())
