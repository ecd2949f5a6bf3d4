"""Validation: the request's own method, functions, violations, on every arity and side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from kratos.errors import Error, FieldViolation, StartupError
from kratos.middleware import AnyCheck, Check, ValidationError, validate, validator
from kratos.testing._guard import call_words
from kratos.testing.echo import ALL, COLLECT, ECHO, EchoService, text
from kratos.transport import Arity, Call, Method, Side, local

NOT_BAD = FieldViolation("value", "must not be bad", "NOT_BAD")


def not_bad(request: StringValue) -> FieldViolation | None:
    return NOT_BAD if request.value == "bad" else None


class Order:
    """A request that validates itself."""

    DESCRIPTOR = StringValue.DESCRIPTOR

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.asked: list[str] = []

    def validate(self) -> None:
        self.asked.append("itself")
        if self.fault:
            raise ValueError(self.fault)


ORDER: Method[Any, Any] = Method(
    operation="/shop.Orders/Place",
    name="place",
    arity=Arity.UNARY,
    request=Order,  # pyright: ignore[reportArgumentType]
    reply=StringValue,
)


async def serve(
    checks: Iterable[AnyCheck], request: Any, *, method: Method[Any, Any] = ORDER
) -> Any:
    """Pass one request through the middleware and return it from the handler."""
    middleware = validate(*checks).bind(method)
    assert middleware is not None

    async def handler(call: Call, request: Any) -> Any:
        return request

    return await middleware(Call(method, side=Side.SERVER, transport="t"), request, handler)


async def test_request_that_validates_itself_reaches_the_handler() -> None:
    order = Order()
    assert await serve([], order) is order
    assert order.asked == ["itself"]


async def test_request_that_finds_itself_wrong_is_refused_with_the_cause() -> None:
    with pytest.raises(Error) as refused:
        await serve([], Order("name: too short"))
    error = refused.value
    assert (error.code, error.reason, error.message) == (400, "VALIDATOR", "name: too short")
    assert isinstance(error.cause, ValueError)
    assert error.field_violations == ()


async def test_request_is_asked_before_the_functions_and_the_first_failure_ends_it() -> None:
    order = Order()

    def second(request: Order) -> None:
        request.asked.append("second")
        raise ValueError("second")

    def third(request: Order) -> None:
        request.asked.append("third")

    with pytest.raises(Error, match="second"):
        await serve([second, third], order)
    assert order.asked == ["itself", "second"]


async def test_checks_may_run_before_the_request_is_asked() -> None:
    order = Order("itself")

    def first(request: Order) -> None:
        request.asked.append("first")

    middleware = validate(before=[first]).bind(ORDER)
    assert middleware is not None
    with pytest.raises(Error, match="itself"):
        await middleware(Call(ORDER, side=Side.SERVER, transport="t"), order, _never)
    assert order.asked == ["first", "itself"]


async def _never(call: Call, request: Any) -> Any:
    raise AssertionError("the handler was called")


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.arity.value)
@pytest.mark.parametrize("side", ["middleware", "client_middleware"])
async def test_bad_message_is_refused_on_every_arity_and_side(
    method: Method[Any, Any], side: str
) -> None:
    service = EchoService()
    chain: Any = {side: [validate(not_bad)]}
    caller = local(service, **chain)
    with pytest.raises(Error) as refused:
        await call_words(caller, method, "bad")
    error = refused.value
    assert (error.code, error.reason) == (400, "VALIDATOR")
    assert error.message == "value: must not be bad"
    assert error.field_violations == (NOT_BAD,)
    assert service.seen == []


async def test_good_messages_pass() -> None:
    caller = local(EchoService(), middleware=[validate(not_bad)])
    assert (await caller.unary(ECHO, text("good"))).value == "good"
    assert (await caller.client_stream(COLLECT, [text("a"), text("b")])).value == "a b"


async def test_check_may_wait() -> None:
    async def known(request: StringValue) -> FieldViolation | None:
        return not_bad(request)

    caller = local(EchoService(), middleware=[validate(known)])
    assert (await caller.unary(ECHO, text("good"))).value == "good"
    with pytest.raises(Error, match="must not be bad"):
        await caller.unary(ECHO, text("bad"))


async def test_check_may_be_a_generator_of_violations() -> None:
    def each(request: StringValue) -> Iterator[FieldViolation]:
        if request.value == "fault":
            raise ValueError("half way")
        for letter in request.value:
            yield FieldViolation("value", f"no {letter}")
        yield FieldViolation("", reason="WHOLE")

    with pytest.raises(Error) as refused:
        await serve([each], text("ab"), method=ECHO)
    assert refused.value.message == "value: no a; value: no b; WHOLE"
    assert len(refused.value.field_violations) == 3
    with pytest.raises(Error, match="half way"):
        await serve([each], text("fault"), method=ECHO)


async def test_violations_may_travel_with_a_text_of_their_own() -> None:
    def check(request: StringValue) -> None:
        raise ValidationError("all is wrong", [NOT_BAD])

    with pytest.raises(Error) as refused:
        await serve([check], text(""), method=ECHO)
    assert refused.value.message == "all is wrong"
    assert refused.value.field_violations == (NOT_BAD,)


async def test_error_of_a_check_is_what_the_caller_gets() -> None:
    def check(request: StringValue) -> None:
        raise Error(409, "TAKEN", "there is one already")

    with pytest.raises(Error) as refused:
        await serve([check], text(""), method=ECHO)
    assert (refused.value.code, refused.value.reason) == (409, "TAKEN")


async def test_fault_of_a_check_is_no_refusal() -> None:
    def faulty(request: StringValue) -> None:
        raise KeyError("no such thing")

    with pytest.raises(KeyError):
        await serve([faulty], text(""), method=ECHO)


@pytest.mark.parametrize("answer", [False, True, "no", 1, [NOT_BAD, "value"]])
async def test_answer_that_is_none_is_called_a_fault_of_the_check(answer: Any) -> None:
    with pytest.raises(TypeError, match="returns violations or None"):
        await serve([lambda request: answer], text(""), method=ECHO)


@pytest.mark.parametrize("nothing", [None, [], (), iter([])])
async def test_no_violations_are_no_failure(nothing: Any) -> None:
    assert (await serve([lambda request: nothing], text("x"), method=ECHO)).value == "x"


async def test_validator_looks_at_requests_of_its_type_alone() -> None:
    assert validate(validator(BytesValue, lambda request: NOT_BAD)).bind(ECHO) is None
    with pytest.raises(Error, match="VALIDATOR"):
        await serve([validator(StringValue, not_bad)], text("bad"), method=ECHO)


def test_method_without_anything_to_check_is_left_alone() -> None:
    assert validate().bind(ECHO) is None
    assert validate().bind(ORDER) is not None


def test_check_that_cannot_be_called_is_refused() -> None:
    wrong: Any = NOT_BAD
    with pytest.raises(TypeError, match="cannot be called"):
        validate(wrong)


def test_rules_that_cannot_be_compiled_stop_the_start_and_name_the_method() -> None:
    class Broken:
        def for_type(self, message_type: type[Any], /) -> Check | None:
            raise ValueError("pattern: missing bracket")

    with pytest.raises(StartupError, match=r"Echo/Echo: pattern: missing bracket"):
        validate(Broken()).bind(ECHO)


async def test_stream_that_is_refused_is_read_no_further() -> None:
    read: list[str] = []

    async def requests() -> AsyncIterator[StringValue]:
        for word in ("good", "bad", "late"):
            read.append(word)
            yield text(word)

    caller = local(EchoService(), client_middleware=[validate(not_bad)])
    with pytest.raises(Error, match="must not be bad"):
        await caller.client_stream(COLLECT, requests())
    assert "late" not in read
