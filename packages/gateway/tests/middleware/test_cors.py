"""Pages of other origins (Go: middleware/cors)."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from kratos.errors import ConfigError
from kratos.testing.log import MemoryLogger
from kratos_gateway.api.cors_pb2 import Cors
from kratos_gateway.exchange import Answer, Handler
from kratos_gateway.middleware import Context
from kratos_gateway.middleware.testing import Backend, behind, request_to

# Of Go's test: origins that are allowed, origin, method, status.
NONE: list[str] = []
CASES = [
    (NONE, "", "POST", 200),
    (NONE, "", "OPTIONS", 200),
    (["google.com"], "https://youtube.com", "OPTIONS", 403),
    (["*.google.com"], "https://www.youtube.com", "OPTIONS", 403),
    (["*.google.com"], "https://www.google.com", "OPTIONS", 200),
    (["google.com"], "https://www.google.com", "OPTIONS", 403),
    (["google.com"], "https://google.com", "OPTIONS", 200),
    (["google.com"], "http://google.com", "OPTIONS", 200),
    (["GOOGLE.COM"], "http://google.com", "OPTIONS", 200),
    (["*.GOOGLE.COM"], "http://www.google.com", "OPTIONS", 200),
    (["*"], "http://google.com", "OPTIONS", 200),
    (["google.com"], "http://google.com", "GET", 200),
    (["*.youtube.com"], "http://google.com", "GET", 403),
]

OTHERS = [
    (["google.com"], "https://google.com:8443", 200),
    (["google.com"], "https://GOOGLE.com", 200),
    (["google.com"], "https://google.com.evil.example", 403),
    (["*.google.com"], "https://evilgoogle.com", 403),
    (["*.google.com"], "https://google.com", 403),
    ([".google.com"], "https://www.google.com", 403),
    (["https://google.com"], "https://google.com", 200),
    (["https://google.com"], "http://google.com", 403),
    (["::1"], "http://[::1]:3000", 200),
    (["google.com"], "null", 403),
    (["*"], "null", 200),
]


def values(answer: Answer, name: str) -> list[str]:
    return [value.decode() for key, value in answer.headers if key == name.encode()]


async def ask(handler: Handler, origin: str, method: str, **more: str) -> Answer:
    headers = [(name.replace("_", "-"), value) for name, value in more.items()]
    if origin:
        headers.append(("Origin", origin))
    return await handler(request_to("/foo", method=method, headers=headers))


@pytest.mark.parametrize(("allowed", "origin", "method", "status"), CASES)
async def test_origin_is_judged_as_in_go(
    allowed: list[str], origin: str, method: str, status: int
) -> None:
    handler = behind(Backend(), "cors", Cors(allow_origins=allowed))
    answer = await ask(handler, origin, method)
    assert answer.status == status
    if status != 200 or not origin:
        return
    assert values(answer, "vary")[0] == "Origin"
    assert values(answer, "access-control-allow-credentials") == ["true"]
    assert values(answer, "access-control-allow-methods") == ["GET,POST,PUT,DELETE"]
    if method == "OPTIONS":
        told = values(answer, "access-control-allow-headers")
        assert told == ["Origin,Content-Length,Content-Type"]
        assert values(answer, "access-control-max-age") == ["600"]


@pytest.mark.parametrize(("allowed", "origin", "status"), OTHERS)
async def test_host_of_an_origin_is_what_counts(
    allowed: list[str], origin: str, status: int
) -> None:
    backend = Backend()
    answer = await ask(behind(backend, "cors", Cors(allow_origins=allowed)), origin, "GET")
    assert answer.status == status
    assert len(backend.requests) == (status == 200)


async def test_preflight_is_never_passed_on() -> None:
    backend = Backend()
    handler = behind(backend, "cors", Cors(allow_origins=["a.example"]))
    answer = await ask(handler, "https://a.example", "OPTIONS")
    assert not backend.requests
    assert values(answer, "access-control-allow-origin") == ["https://a.example"]
    assert values(answer, "vary") == [
        "Origin",
        "Access-Control-Request-Method",
        "Access-Control-Request-Headers",
    ]


async def test_lists_replace_the_defaults() -> None:
    options = Cors(
        allow_origins=["a.example"],
        allow_methods=["get", "OPTIONS"],
        allow_headers=["x-token", "X-Token"],
        expose_headers=["x-total"],
        max_age=Duration(seconds=5),
    )
    handler = behind(Backend(), "cors", options)
    preflight = await ask(handler, "https://a.example", "OPTIONS")
    assert values(preflight, "access-control-allow-methods") == ["GET,OPTIONS"]
    assert values(preflight, "access-control-allow-headers") == ["X-Token"]
    assert values(preflight, "access-control-max-age") == ["5"]
    answer = await ask(handler, "https://a.example", "GET")
    assert values(answer, "access-control-expose-headers") == ["X-Total"]


async def test_credentials_can_be_denied() -> None:
    options = Cors(allow_credentials=False, allow_origins=["*"])
    logger = MemoryLogger()
    handler = behind(Backend(), "cors", options, context=Context(logger=logger))
    for method in ("GET", "OPTIONS"):
        answer = await ask(handler, "https://a.example", method)
        assert not values(answer, "access-control-allow-credentials")
    assert not logger.records


@pytest.mark.parametrize("allowed", [[], ["*"]])
def test_credentials_for_everybody_are_warned_of(allowed: list[str]) -> None:
    logger = MemoryLogger()
    behind(Backend(), "cors", Cors(allow_origins=allowed), context=Context(logger=logger))
    assert "allowCredentials: false" in logger.messages()[0]


@pytest.mark.parametrize(
    ("enabled", "asked", "told"), [(True, "true", ["true"]), (False, "true", []), (True, "", [])]
)
async def test_private_network_is_told_when_asked_and_enabled(
    enabled: bool, asked: str, told: list[str]
) -> None:
    options = Cors(allow_origins=["a.example"], allow_private_network=enabled)
    handler = behind(Backend(), "cors", options)
    more = {"Access_Control_Request_Private_Network": asked} if asked else {}
    answer = await ask(handler, "https://a.example", "OPTIONS", **more)
    assert values(answer, "access-control-allow-private-network") == told


async def test_what_the_back_end_says_of_origins_is_replaced_and_its_vary_kept() -> None:
    said = [(b"access-control-allow-origin", b"*"), (b"vary", b"accept, ORIGIN"), (b"x-a", b"1")]
    handler = behind(Backend(Answer(200, said)), "cors", Cors(allow_origins=["a.example"]))
    answer = await ask(handler, "https://a.example", "GET")
    assert values(answer, "access-control-allow-origin") == ["https://a.example"]
    assert values(answer, "vary") == ["accept, ORIGIN"]
    assert values(answer, "x-a") == ["1"]


@pytest.mark.parametrize(
    "options", [Cors(allow_origins=[""]), Cors(allow_headers=["a b"]), Cors(expose_headers=["ä"])]
)
def test_what_cannot_be_meant_is_refused(options: Cors) -> None:
    with pytest.raises(ConfigError, match=r"allowOrigins|no name of a header"):
        behind(Backend(), "cors", options)


async def test_page_may_read_that_there_was_no_answer() -> None:
    handler = behind(Backend(ConnectionError()), "cors", Cors(allow_origins=["a.example"]))
    request = request_to("/foo", headers=[("Origin", "https://a.example")])
    for _ in range(2):  # attempts
        with pytest.raises(ConnectionError):
            await handler(request)
    answer = Answer(502)
    for mark in request.options.marks:
        answer = mark(answer)
    assert values(answer, "access-control-allow-origin") == ["https://a.example"]
    assert values(answer, "vary") == ["Origin"]


async def test_answer_to_nobodys_page_is_another_one_for_caches() -> None:
    backend = Backend(Answer(200, [(b"vary", b"accept")]))
    handler = behind(backend, "cors", Cors(allow_origins=["a.example"]))
    request = request_to("/foo")
    assert values(await handler(request), "vary") == ["accept", "Origin"]
    for mark in request.options.marks:
        assert values(mark(Answer(502)), "vary") == ["Origin"]
