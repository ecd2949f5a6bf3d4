"""The contract of single middlewares, for each one that comes with Kratos."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

import kratos.middleware as ready_made
from kratos.catalogue import Catalogue
from kratos.errors import Error
from kratos.metrics import MemoryMeter
from kratos.middleware import (
    AnyMiddleware,
    Call,
    Handler,
    Matcher,
    Side,
    api_key,
    authorize,
    bulkhead,
    cache,
    certificate,
    circuitbreaker,
    every_request,
    hashed_api_key,
    hedging,
    idempotency,
    idempotency_key,
    keyed,
    localize,
    logging,
    metadata,
    metrics,
    on_type,
    public,
    ratelimit,
    recovery,
    request_id,
    retry,
    selector,
    shedding,
    timeout,
    tracing,
    validate,
)
from kratos.store import MemoryStore
from kratos.testing import CallFaults
from kratos.testing.echo import CHAT, COLLECT, ECHO, WATCH
from kratos.testing.guard import Ledger
from kratos.testing.link_contract import LinkContract
from kratos.testing.topology import Calls
from kratos.transport import Arity

Make = Callable[[], AnyMiddleware]


async def accept(_call: Call, _message: Any) -> None:
    """Find nothing wrong."""


def matched() -> AnyMiddleware:
    matcher = Matcher()
    matcher.add("/kratos.testing.Echo/*", [recovery(), logging()])
    return matcher


BOTH: dict[str, Make] = {
    "authorize": lambda: authorize(public),
    "bulkhead": lambda: bulkhead(10),
    "circuitbreaker": circuitbreaker,
    "every_request": lambda: every_request(accept),
    "faults": lambda: CallFaults().middleware(),
    "faults by header": lambda: CallFaults().middleware(from_headers=True),
    "localize": lambda: localize(Catalogue({"en": {"NO_SUCH": "there is none"}})),
    "logging": logging,
    "matcher": matched,
    "metadata": metadata,
    "metrics": lambda: metrics(MemoryMeter(), in_flight=True, messages=True),
    "on_type": lambda: on_type(StringValue, accept),
    "ratelimit": lambda: ratelimit(Ledger()),  # a real one looks at the CPU
    "recovery": recovery,
    "request_id": request_id,
    "selector": lambda: selector([recovery(), logging()], paths=[ECHO.operation]),
    "timeout": lambda: timeout(60),
    "tracing": tracing,
    "validate": lambda: validate(lambda _request: None),
}
CLIENT: dict[str, Make] = {
    "hedging": lambda: hedging(2, delay=60, idempotent=lambda _method: True),
    "idempotency_key": idempotency_key,
    "keyed": lambda: keyed(lambda request: request.value),
    "retry": lambda: retry(3, idempotent=lambda _method: True),
    "calls of a topology": Calls,
}
SERVER: dict[str, Make] = {
    "api_key, optional": lambda: api_key({hashed_api_key("sesame"): "somebody"}, optional=True),
    "cache": lambda: cache(MemoryStore(), scope=lambda _call: ""),
    "certificate, optional": lambda: certificate(optional=True),
    "idempotency": lambda: idempotency(MemoryStore()),
    "shedding": shedding,
}


def fixture_of(makers: dict[str, Make]) -> Any:
    @pytest.fixture(params=makers.values(), ids=list(makers))
    def make(_self: object, request: pytest.FixtureRequest) -> Make:
        chosen: Make = request.param
        return chosen

    return make


class TestOnBothSides(LinkContract):
    make = fixture_of(BOTH)


class TestOnTheClient(LinkContract):
    sides = frozenset({Side.CLIENT})
    make = fixture_of(CLIENT)


class TestOnTheServer(LinkContract):
    sides = frozenset({Side.SERVER})
    make = fixture_of(SERVER)


def test_every_middleware_is_held_to_the_suite() -> None:
    makes = {"Middleware", "PerMethod", "Guarding"}
    made = {
        name
        for name in ready_made.__all__
        if inspect.isfunction(function := getattr(ready_made, name))
        and function.__annotations__.get("return") in makes
    }
    held = {name.partition(",")[0] for name in (*BOTH, *CLIENT, *SERVER)}
    assert made - held == set()


VARIABLE: ContextVar[str] = ContextVar("left_behind", default="")


async def leaks(call: Call, request: Any, next: Handler, /) -> Any:
    VARIABLE.set("set")
    return await next(call, request)


async def swallows(call: Call, request: Any, next: Handler, /) -> Any:
    try:
        return await next(call, request)
    except Error as error:
        raise Error(error.code, "OTHER") from error


async def drops_headers(call: Call, request: Any, next: Handler, /) -> Any:
    call.headers.remove("x-color")
    return await next(call, request)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (leaks, "test_context_is_as_it_was_after_the_call"),
        (swallows, "test_error_of_the_handler_passes_whole"),
        (swallows, "test_refusal_further_in_passes_and_the_handler_does_not_run"),
        (drops_headers, "test_headers_pass_in_both_directions"),
    ],
)
@pytest.mark.parametrize("method", [ECHO, COLLECT, WATCH, CHAT], ids=[each.value for each in Arity])
async def test_contract_finds_what_is_wrong(broken: Any, test: str, method: Any) -> None:
    with pytest.raises(AssertionError):
        await getattr(LinkContract(), test)(make=lambda: broken, side=Side.SERVER, method=method)
