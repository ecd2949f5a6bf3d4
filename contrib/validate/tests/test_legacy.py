"""Rules of protoc-gen-validate: what cases alone do not show."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FieldOptions, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from shop.orders_pb2 import Choice, Legacy, Line, Lists, Mixed, Special, Texts

from kratos.errors import Error, FieldViolation, StartupError
from kratos.middleware import Check, ValidationError, validate
from kratos.testing.echo import ECHO
from kratos.transport import Arity, Call, Handler, Method, Side
from kratos_validate import LegacyRules, proto_validate


def refused(message: Any, kind: type[Any]) -> ValidationError:
    check = check_of(kind)
    with pytest.raises(ValidationError) as refusal:
        check(message)
    return refusal.value


def check_of(kind: type[Any]) -> Check:
    check = LegacyRules().for_type(kind)
    assert check is not None
    return check


def typed(options: bytes, kind: int = FieldDescriptorProto.TYPE_STRING) -> type[Any]:
    """Return a type of messages whose one field has some options."""
    file = FileDescriptorProto(name="legacy.proto", package="legacy", syntax="proto3")
    file.message_type.add(name="Typed").field.add(
        name="field",
        number=1,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
        type=FieldDescriptorProto.Type.Name(kind),  # type: ignore[arg-type]
        options=FieldOptions.FromString(options),
    )
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found: type[Any] = GetMessageClass(pool.FindMessageTypeByName("legacy.Typed"))
    return found


async def test_violation_has_the_path_of_the_definition_and_what_is_wrong_there() -> None:
    error = refused(Lists(lines=[Line(sku="a"), Line(sku="b", next=Line())]), Lists)
    assert error.violations == (
        FieldViolation("lines[1].next.sku", "value length must be at least 1 runes"),
    )


def test_what_a_caller_chose_is_told_to_an_end() -> None:
    error = refused(Lists(pairs={"ab" * 10_000: "abc"}), Lists)
    assert len(str(error)) < 400
    assert len(error.violations[0].field) < 300
    assert len(str(refused(Texts(uri="%" * 100_000), Texts))) < 1000


@pytest.mark.parametrize("field", ["email", "hostname", "uri", "uri_ref", "address", "uuid", "ip"])
@pytest.mark.parametrize("text", ["a", "a.", "a@", '"a', "%a", "a b", "<", "[:", "\\\\", "-"])
def test_long_text_of_any_kind_is_judged(field: str, text: str) -> None:
    check = check_of(Texts)
    with suppress(ValidationError):  # one that took more than linear time would not end
        check(Texts(**{field: text * 50_000}))


def test_pattern_that_python_would_search_for_ever_is_no_trouble() -> None:
    options = b"\x32\x07(a+)+b$"
    rules = b"\x72" + bytes([len(options)]) + options
    kind = typed(b"\xfa\x42" + bytes([len(rules)]) + rules)
    assert "does not match regex pattern" in str(refused(kind(field="a" * 10_000), kind))


def test_nested_messages_are_checked_to_any_depth_that_protobuf_reads() -> None:
    line = Line()
    for _ in range(98):
        line = Line(sku="a", next=line)
    error = refused(Line.FromString(line.SerializeToString()), Line)
    assert error.violations[0].field == f"{('next.' * 98)[:256]}..."


def test_method_without_rules_is_left_alone() -> None:
    assert LegacyRules().for_type(ECHO.request) is None
    assert LegacyRules().for_type(str) is None
    assert proto_validate().bind(ECHO) is None


WRONG: Final = {
    "rules for int32, on a field of another type": b"\xfa\x42\x04\x1a\x02\x20\x01",
    "rules for duration, on a field of another type": b"\xfa\x42\x05\xaa\x01\x02\x08\x01",
    "rules for repeated, on a field of another type": b"\xfa\x42\x05\x92\x01\x02\x08\x01",
    "pattern '\\['": b"\xfa\x42\x05\x72\x03\x32\x01[",
}


@pytest.mark.parametrize("told", WRONG)
def test_rule_that_cannot_be_compiled_stops_the_start_and_is_named(told: str) -> None:
    method: Method[Any, Any] = Method(
        operation="/shop.Orders/Place",
        name="place",
        arity=Arity.UNARY,
        request=typed(WRONG[told]),
        reply=ECHO.reply,
    )
    with pytest.raises(StartupError, match=rf"Orders/Place: legacy\.Typed\.field: {told}"):
        validate(before=[LegacyRules()]).bind(method)


async def test_both_kinds_of_rules_hold_for_one_message() -> None:
    method: Method[Any, Any] = Method(
        operation="/shop.Orders/Mix",
        name="mix",
        arity=Arity.UNARY,
        request=Mixed,
        reply=Mixed,
    )
    bound = proto_validate().bind(method)
    assert bound is not None

    async def echo(call: Call, request: Any) -> Any:
        return request

    handler: Handler = echo
    texts: list[str] = []
    for message in (Mixed(name="Bob", age=19), Mixed(name="Alice", age=18)):
        with pytest.raises(Error) as refusal:
            await bound(Call(method, side=Side.SERVER, transport="t"), message, handler)
        assert (refusal.value.code, refusal.value.reason) == (400, "VALIDATOR")
        texts.append(refusal.value.message)
    assert texts == [
        "validation error: name: must be at least 5 characters",
        "invalid Mixed.Age: value must be greater than 18",
    ]
    good = Mixed(name="Alice", age=19)
    assert await bound(Call(method, side=Side.SERVER, transport="t"), good, handler) is good


def test_times_that_are_none_are_told_so() -> None:
    for message, told in (
        (Special(span={"seconds": 1, "nanos": -1}), "value is not a valid duration"),
        (Special(span={"seconds": 400_000_000_000}), "value is not a valid duration"),
        (Special(after={"nanos": -1}), "value is not a valid timestamp"),
        (Special(after={"seconds": 300_000_000_000}), "value is not a valid timestamp"),
    ):
        assert told in str(refused(message, Special))


def test_now_is_the_time_of_the_call() -> None:
    check = check_of(Special)
    now = int(time.time())
    check(Special(recent={"seconds": now - 60}, soon={"seconds": now + 60}))
    check(Special(around={"seconds": now + 60}))
    assert "within 1h0m0s of now" in str(refused(Special(around={"seconds": now + 7200}), Special))


def test_one_check_serves_many_messages() -> None:
    check = check_of(Choice)
    for _ in range(3):
        check(Choice(cash=True))
        assert "PayBy" in str(refused(Choice(), Choice))


def test_rules_that_could_not_be_compiled_once_cannot_be_compiled_later() -> None:
    rules, kind = LegacyRules(), typed(next(iter(WRONG.values())))
    for _ in range(2):
        with pytest.raises(ValueError, match="on a field of another type"):
            rules.for_type(kind)


def test_optional_fields_that_are_not_set_have_no_rules() -> None:
    check_of(Texts)(Texts())
    assert "Name" in str(refused(Legacy(), Legacy))
