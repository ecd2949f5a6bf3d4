"""Errors in the languages of their callers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.catalogue import Catalogue
from kratos.errors import Error, FieldViolation, bad_request, not_found
from kratos.middleware import AnyMiddleware, localize, validate
from kratos.testing._guard import call_words
from kratos.testing.echo import ALL, ECHO, EchoService, text
from kratos.transport import Call, CallOptions, Header, Method, Side, local

DETAILS: Any = import_module("google.rpc.error_details_pb2")
CATALOGUE = Catalogue(
    {
        "en": {"NO_BOOK": "there is no {title}", "BUSY": "come back later"},
        "de": {
            "NO_BOOK": "{title} gibt es nicht",
            "BUSY": "kommen Sie sp\u00e4ter wieder",
            "TOO_SHORT": "{field} ist zu kurz",
        },
    },
    default="en",
)


async def answered(
    error: Error, accepted: str = "de", *, side: Side = Side.SERVER, replace: bool = False
) -> tuple[Error, Call]:
    """Return what becomes of an error, and the call."""
    headers = Header.of([("Accept-Language", accepted)])
    call = Call(ECHO, side=side, transport="t", headers=headers)

    async def handler(call: Call, request: Any) -> Any:
        raise error

    with pytest.raises(Error) as raised:
        await localize(CATALOGUE, replace=replace)(call, text(""), handler)
    return raised.value, call


def told(error: Error) -> tuple[str, str] | None:
    detail = error.detail(DETAILS.LocalizedMessage)
    return None if detail is None else (detail.locale, detail.message)


async def test_text_is_a_detail_and_the_message_stays() -> None:
    original = not_found("NO_BOOK", "book 7 is not there", {"title": "Ulysses"})
    error, call = await answered(original)
    assert told(error) == ("de", "Ulysses gibt es nicht")
    assert (error.code, error.reason, error.message) == (404, "NO_BOOK", "book 7 is not there")
    assert error.metadata == {"title": "Ulysses"}
    assert original.details == ()
    assert "content-language" not in call.reply_headers


async def test_text_may_take_the_place_of_the_message() -> None:
    error, call = await answered(Error(404, "NO_BOOK", "x", {"title": "A"}), replace=True)
    assert error.message == "A gibt es nicht"
    assert told(error) == ("de", "A gibt es nicht")
    assert call.reply_headers.get("content-language") == "de"
    assert call.reply_headers.get("vary") == "accept-language"


async def test_caller_without_wishes_gets_the_default_language() -> None:
    error, _ = await answered(Error(404, "NO_BOOK", "", {"title": "A"}), "fr")
    assert told(error) == ("en", "there is no A")


@pytest.mark.parametrize(
    "original",
    [
        Error(404, "UNHEARD", "x"),
        Error(404, "", "x"),
        Error(404, "NO_BOOK", "an argument is missing"),
        Error(404, "BUSY", details=[DETAILS.LocalizedMessage(locale="nl", message="later")]),
        bad_request("UNHEARD", "x").with_field_violations(FieldViolation("a", "b", "UNHEARD")),
        Error(
            400,
            "UNHEARD",
            details=[AnyMessage(type_url="x/google.rpc.BadRequest", value=b"\xff")],
        ),
    ],
    ids=["no text", "no reason", "no argument", "told already", "no text of a field", "broken"],
)
async def test_error_without_a_text_is_left_as_it_is(original: Error) -> None:
    error, _ = await answered(original, replace=True)
    assert error is original


async def test_clients_are_left_alone() -> None:
    original = Error(409, "BUSY")
    error, _ = await answered(original, side=Side.CLIENT)
    assert error is original


async def test_cause_and_trace_and_status_of_grpc_are_kept() -> None:
    original = Error(409, "BUSY").with_grpc_code(6)
    original.__cause__ = KeyError("why")
    error, _ = await answered(original)
    assert error.cause is original.__cause__
    assert error.grpc_code == 6
    trace = error.__traceback__
    frames: list[str] = []
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "handler" in frames


def violations(error: Error) -> list[tuple[str, str, str]]:
    found = error.detail(DETAILS.BadRequest)
    assert found is not None
    return [
        (each.localized_message.locale, each.localized_message.message, each.description)
        for each in found.field_violations
    ]


async def test_violations_have_texts_by_their_reasons() -> None:
    original = bad_request("UNHEARD", "no").with_field_violations(
        FieldViolation("name", "too short", "TOO_SHORT"), FieldViolation("age", "too low", "LOW")
    )
    error, _ = await answered(original)
    assert violations(error) == [
        ("de", "name ist zu kurz", "too short"),
        ("", "", "too low"),
    ]
    assert told(error) is None
    assert original.field_violations == error.field_violations
    error, call = await answered(original, replace=True)
    assert violations(error)[0] == ("de", "name ist zu kurz", "name ist zu kurz")
    assert error.message == "no"
    assert "content-language" not in call.reply_headers


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.arity.value)
async def test_errors_of_every_arity_have_texts(method: Method[Any, Any]) -> None:
    caller = local(EchoService(), middleware=[localize(CATALOGUE)])
    options = CallOptions(headers={"accept-language": ["fr", "de;q=0.3"]})
    with pytest.raises(Error) as raised:
        await call_words(caller, method, "fail", options=options)
    assert told(raised.value) == ("de", "kommen Sie sp\u00e4ter wieder")


async def test_refusals_of_checks_have_texts() -> None:
    chain: list[AnyMiddleware] = [
        localize(CATALOGUE),
        validate(lambda request: FieldViolation("value", "too short", "TOO_SHORT")),
    ]
    options = CallOptions(headers={"accept-language": "de"})
    with pytest.raises(Error) as raised:
        await local(EchoService(), middleware=chain).unary(ECHO, text(""), options)
    assert violations(raised.value) == [("de", "value ist zu kurz", "too short")]


async def test_good_replies_and_foreign_exceptions_pass() -> None:
    async def core(call: Call, request: Any) -> Any:
        if request == "crash":
            raise KeyError(request)
        return request

    chain = localize(CATALOGUE)
    assert await chain(Call(ECHO, side=Side.SERVER, transport="t"), "x", core) == "x"
    with pytest.raises(KeyError):
        await chain(Call(ECHO, side=Side.SERVER, transport="t"), "crash", core)
