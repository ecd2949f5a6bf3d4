"""Copies of requests, whose answers nobody waits for."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from kratos.errors import ConfigError
from kratos.metrics import MemoryMeter
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.gateway_pb2 import Backend as Target
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.mirror_pb2 import Mirror
from kratos_gateway.backend import WEBSOCKET
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware import Context, create
from kratos_gateway.middleware.tee import Tee
from kratos_gateway.middleware.testing import Backend, Pieces, configured, request_to
from kratos_http.testing import eventually

SHADOW = Endpoint(backends=[Target(target="127.0.0.1:9001")])


class Shadow(Backend):
    """Who gets copies."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__(*answers)
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


def mirrored(
    shadow: Any,
    backend: Handler,
    logger: MemoryLogger | None = None,
    meter: MemoryMeter | None = None,
    **options: Any,
) -> tuple[Middleware, Handler]:
    context = Context(
        upstream=lambda _endpoint: shadow,
        logger=logger or MemoryLogger(),
        meter=meter or MemoryMeter(),
    )
    options.setdefault("endpoint", SHADOW)
    told = Mirror(**options)
    made = create(configured("mirror", told), context=context)
    return made, made.wrap(backend, Endpoint())


def outcomes(meter: MemoryMeter) -> dict[str, float]:
    """Return what became of copies."""
    name = "kratos_gateway_mirror_copies"
    all_of_them = ("answered", "failed", "given_up", "busy")
    found = {each: meter.value(name, outcome=each) for each in all_of_them}
    return {each: count for each, count in found.items() if count}


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


async def test_handshakes_are_not_copied() -> None:
    shadow = Shadow()
    made, handler = mirrored(shadow, Backend())
    request = request_to()
    request.options.values[WEBSOCKET] = True
    await handler(request)
    await settled()
    assert not shadow.requests
    await made.aclose()


class Reading(Shadow):
    """Reads the bodies of copies, a piece at each ``go``, or at once."""

    def __init__(self, *, at_once: bool = True) -> None:
        super().__init__()
        self.read: list[bytes] = []
        self.failure: BaseException | None = None
        self.go = asyncio.Semaphore(10_000 if at_once else 0)

    async def __call__(self, request: Request, /) -> Answer:
        body = request.body
        assert not isinstance(body, bytes)
        try:
            await self.go.acquire()
            while piece := await body.read():
                self.read.append(piece)
                await self.go.acquire()
        except BaseException as error:
            self.failure = error
            raise
        return await super().__call__(request)


class Taking(Backend):
    """Reads the bodies of requests."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[bytes] = []

    async def __call__(self, request: Request, /) -> Answer:
        body = request.body
        assert not isinstance(body, bytes)
        while piece := await body.read():
            self.read.append(piece)
            await asyncio.sleep(0)
        return await super().__call__(request)


async def test_body_in_pieces_is_copied_as_the_back_end_takes_it() -> None:
    shadow, backend, meter = Reading(), Taking(), MemoryMeter()
    made, handler = mirrored(shadow, backend, meter=meter)
    await handler(request_to(body=Pieces(b"a", b"bc", b"d")))
    await settled()
    assert backend.read == shadow.read == [b"a", b"bc", b"d"]
    assert outcomes(meter) == {"answered": 1}
    await made.aclose()


async def test_copy_is_given_up_where_too_much_of_it_waits_and_the_back_end_gets_all() -> None:
    shadow, backend, meter = Reading(at_once=False), Taking(), MemoryMeter()
    made, handler = mirrored(shadow, backend, meter=meter, max_buffered=10)
    await handler(request_to(body=Pieces(b"a" * 6, b"b" * 4, b"c", b"d")))
    await settled()
    assert backend.read == [b"a" * 6, b"b" * 4, b"c", b"d"]
    assert isinstance(shadow.failure, asyncio.CancelledError)
    assert outcomes(meter) == {"given_up": 1}
    await made.aclose()


@pytest.mark.parametrize("how", ["broken off", "closed"])
async def test_copy_of_a_body_that_does_not_end_is_given_up(how: str) -> None:
    shadow, meter = Reading(), MemoryMeter()

    async def leaves(request: Request) -> Answer:
        assert not isinstance(request.body, bytes)
        await request.body.read()
        await settled()
        if how == "closed":
            request.body.close()
        else:
            with pytest.raises(ConnectionError):
                await request.body.read()
        return Answer(200)

    made, handler = mirrored(shadow, leaves, meter=meter)
    body = Pieces(b"a", ConnectionError("lost"))
    await handler(request_to(body=body))
    await settled()
    assert (shadow.read, outcomes(meter)) == ([b"a"], {"given_up": 1})
    assert body.closed is (how == "closed")
    await made.aclose()


async def test_copy_ends_when_nothing_more_of_a_body_comes() -> None:
    shadow, meter = Reading(), MemoryMeter()
    endpoint = Endpoint(backends=SHADOW.backends, timeout=Duration(nanos=1_000_000))
    made, handler = mirrored(shadow, Backend(), meter=meter, endpoint=endpoint)
    await handler(request_to(body=Pieces(b"a")))
    await eventually(lambda: bool(outcomes(meter)))
    assert isinstance(shadow.failure, TimeoutError)
    assert outcomes(meter) == {"failed": 1}
    await made.aclose()


async def test_request_may_end_after_its_copy_has_come_to_an_answer() -> None:
    ended = asyncio.Event()

    class Slow(Pieces):
        async def read(self) -> bytes:
            if not self._pieces:
                await ended.wait()
            return await super().read()

    async def whole(request: Request, /) -> Answer:
        assert isinstance(request.body, Tee)
        while await request.body.read():
            pass
        return Answer(201)

    shadow = Shadow(Answer(500))
    made, handler = mirrored(shadow, whole)
    asking = asyncio.ensure_future(handler(request_to(body=Slow(b"a"))))
    await settled()
    assert shadow.requests
    ended.set()
    assert (await asking).status == 201
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

    meter = MemoryMeter()
    made, handler = mirrored(Hanging(), Backend(), meter=meter, max_pending=2)
    for _ in range(5):
        await handler(request_to())
    await settled()
    await made.aclose()
    assert len(cancelled) == 2
    assert outcomes(meter) == {"busy": 3, "given_up": 2}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(Mirror(), "no backends"), (Mirror(endpoint=SHADOW, share=1.5), "at most 1, not 1.5")],
)
def test_options_that_cannot_be_meant_are_refused(options: Mirror, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        create(configured("mirror", options), context=Context())
