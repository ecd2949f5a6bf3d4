"""A service decides who is let in."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.duration_pb2 import Duration

from kratos.errors import ConfigError
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.extauth_pb2 import ExtAuth
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.api.gateway_pb2 import Backend as Target
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware import Context, create
from kratos_gateway.middleware.testing import Backend, Pieces, configured, request_to

CALL, OF_GRPC = [("content-type", "application/grpc")], Endpoint(protocol=GRPC)
DOOR = Endpoint(path="/check?a=b", backends=[Target(target="127.0.0.1:9001")])


class Doorman(Backend):
    """The service, as the proxy reaches it."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__(*answers)
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


async def asked(
    doorman: Doorman, request: Request, backend: Backend, **options: object
) -> tuple[Answer, MemoryLogger]:
    logger = MemoryLogger()
    context = Context(upstream=lambda _endpoint: doorman, logger=logger)
    told = ExtAuth(endpoint=DOOR, **options)  # type: ignore[arg-type]  # each of its own type
    made = create(configured("extauth", told), context=context)
    answer = await made.wrap(backend, Endpoint())(request)
    await made.aclose()
    assert doorman.closed == 1
    return answer, logger


async def test_service_is_asked_about_the_request_without_its_body() -> None:
    doorman, backend, body = Doorman(Answer(204)), Backend(Answer(201)), Pieces(b"body")
    sent = [("Authorization", "Basic YTpi"), ("Cookie", "c=1"), ("X-Other", "1")]
    request = request_to("/a/b?c=d", method="POST", headers=sent, body=body, host="gw.test:81")
    request.headers.append((b"x-forwarded-for", b"192.0.2.7"))
    answer, _ = await asked(doorman, request, backend)
    question = doorman.last
    assert (question.method, question.path, question.query) == ("GET", "/check", "a=b")
    assert question.body == b""
    assert question.headers == [
        (b"authorization", b"Basic YTpi"),
        (b"cookie", b"c=1"),
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"x-forwarded-method", b"POST"),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", b"gw.test:81"),
        (b"x-forwarded-uri", b"/a/b?c=d"),
    ]
    assert question.options is not request.options  # its attempts are not the request's
    assert answer.status == 201
    assert backend.last.body is body


async def test_good_answer_tells_the_back_end_what_clients_cannot() -> None:
    told = [(b"x-user", b"ada"), (b"x-secret", b"1")]
    backend, body = Backend(), Pieces(b"ok")
    doorman = Doorman(Answer(200, told, body))
    request = request_to(headers=[("X-User", "root"), ("X_User", "root"), ("X-A", "1")])
    await asked(doorman, request, backend, back_end_headers=["X-User", "X-Team"])
    assert backend.last.headers == [(b"x-a", b"1"), (b"x-user", b"ada")]
    assert body.closed


async def test_attempts_of_a_request_that_is_let_in_are_not_asked_about_again() -> None:
    doorman, backend = Doorman(Answer(200, [(b"x-user", b"ada")])), Backend()
    context = Context(upstream=lambda _endpoint: doorman)
    told = configured("extauth", ExtAuth(endpoint=DOOR, back_end_headers=["X-User"]))
    handler = create(told, context=context).wrap(backend, Endpoint())
    request = request_to(headers=[("X-User", "root")])
    for _ in range(3):
        await handler(request)
    await handler(request_to())
    assert len(doorman.requests) == 2
    assert [each.header(b"x-user") for each in backend.requests] == [b"ada"] * 4


async def test_bad_answer_is_the_clients() -> None:
    told = [(b"location", b"/login"), (b"set-cookie", b"a=1"), (b"x-inner", b"1")]
    backend = Backend()
    doorman = Doorman(Answer(302, told, Pieces(b"go to ", b"/login")))
    answer, _ = await asked(doorman, request_to(), backend)
    assert answer == Answer(
        302, [(b"location", b"/login"), (b"set-cookie", b"a=1")], b"go to /login"
    )
    assert not backend.requests


async def test_call_of_grpc_hears_of_it_by_a_status_of_grpc() -> None:
    request = request_to(headers=CALL, endpoint=OF_GRPC)
    answer, _ = await asked(Doorman(Answer(403)), request, Backend())
    assert (answer.status, answer.header(b"grpc-status")) == (200, b"7")


@pytest.mark.parametrize("error", [ConnectionRefusedError("gone"), TimeoutError()])
@pytest.mark.parametrize(("fail_open", "status"), [(False, 503), (True, 200)])
async def test_where_nobody_answers_the_options_decide(
    error: Exception, fail_open: bool, status: int
) -> None:
    backend = Backend()
    request = request_to(headers=[("X-User", "root"), ("X_User", "root")])
    answer, logger = await asked(
        Doorman(error), request, backend, fail_open=fail_open, back_end_headers=["X-User"]
    )
    assert answer.status == status
    assert logger.messages() == ["nobody could be asked about a request"]
    assert all(each.headers == [] for each in backend.requests)


async def test_answer_that_does_not_come_in_time_is_none() -> None:
    class Slow(Doorman):
        async def __call__(self, _request: Request, /) -> Answer:
            await asyncio.get_running_loop().create_future()
            return Answer(200)

    timeout = Duration(nanos=10_000_000)
    answer, _ = await asked(Slow(), request_to(), Backend(), timeout=timeout)
    assert answer.status == 503


@pytest.mark.parametrize("fail_open", [False, True])
@pytest.mark.parametrize(
    "pieces", [[b"x" * 1024] * 65, [b"x", ConnectionResetError("gone")], [b"x", TimeoutError()]]
)
async def test_refusal_stays_one_whatever_becomes_of_its_body(
    pieces: list[bytes | Exception], fail_open: bool
) -> None:
    backend, body = Backend(), Pieces(*pieces)
    answer, _ = await asked(
        Doorman(Answer(403, body=body)), request_to(), backend, fail_open=fail_open
    )
    assert (answer.status, answer.body) == (403, b"")
    assert body.closed
    assert not backend.requests


async def test_refusal_whose_body_does_not_end_is_given_without_it() -> None:
    class Endless(Pieces):
        async def read(self) -> bytes:
            await asyncio.get_running_loop().create_future()
            return b""

    doorman, backend = Doorman(Answer(403, body=Endless())), Backend()
    timeout = Duration(nanos=10_000_000)
    answer, _ = await asked(doorman, request_to(), backend, timeout=timeout, fail_open=True)
    assert (answer.status, answer.body) == (403, b"")
    assert not backend.requests


async def test_service_is_told_of_the_same_bytes_as_the_back_end() -> None:
    doorman = Doorman()
    await asked(doorman, request_to("/a?b=\xe9"), Backend())
    assert doorman.last.header(b"x-forwarded-uri") == b"/a?b=\xe9"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (ExtAuth(), "no backends"),
        (ExtAuth(endpoint=Endpoint(path="a", backends=DOOR.backends)), "begin with a slash"),
        (ExtAuth(endpoint=DOOR, request_headers=["a b"]), "no name of a header"),
        (ExtAuth(endpoint=DOOR, timeout=Duration(seconds=-1)), "timeout"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_anything_is_opened(
    options: ExtAuth, complaint: str
) -> None:
    def never(_endpoint: Endpoint) -> Doorman:
        raise AssertionError("nobody would close it")

    with pytest.raises(ConfigError, match=complaint):
        create(configured("extauth", options), context=Context(upstream=never))
