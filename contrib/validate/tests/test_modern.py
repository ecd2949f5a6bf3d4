"""Rules of buf.validate on every arity, with the texts of Go."""

from __future__ import annotations

from typing import Any

import pytest
from shop.accounts_pb2 import Account, Broken, Contact, Failing, Modern, Plain

from kratos.errors import Error, FieldViolation, StartupError
from kratos.middleware import PerMethod, validate
from kratos.transport import Arity, Call, Method, Side
from kratos_validate import ModernRules, proto_validate


async def refusal(request: Any, middleware: PerMethod | None = None) -> Error | None:
    """Return what a request is refused with; ``None`` if it reaches the handler."""
    kind: Any = request.__class__
    method: Method[Any, Any] = Method(
        operation="/shop.Accounts/Open",
        name="open",
        arity=Arity.UNARY,
        request=kind,
        reply=Plain,
    )
    bound = (middleware or proto_validate()).bind(method)
    assert bound is not None
    reached: list[object] = []

    async def handler(call: Call, request: Any) -> None:
        reached.append(request)

    try:
        await bound(Call(method, side=Side.SERVER, transport="t"), request, handler)
    except Error as error:
        assert reached == []
        return error
    assert reached == [request]
    return None


async def told(request: Any, middleware: PerMethod | None = None) -> str:
    error = await refusal(request, middleware)
    assert error is not None
    assert (error.code, error.reason) == (400, "VALIDATOR")
    return error.message


async def test_good_request_passes() -> None:
    assert await refusal(Modern(name="Ulysses", age=19)) is None


async def test_one_violation_is_told_as_go_does() -> None:
    assert await told(Modern(name="Bob", age=19)) == (
        "validation error: name: must be at least 5 characters"
    )


async def test_several_violations_are_told_line_by_line_with_fields_and_rules() -> None:
    error = await refusal(Modern(name="Bob", age=18))
    assert error is not None
    assert error.message == (
        "validation errors:\n"
        " - name: must be at least 5 characters\n"
        " - age: must be greater than 18"
    )
    assert error.field_violations == (
        FieldViolation("name", "must be at least 5 characters", "string.min_len"),
        FieldViolation("age", "must be greater than 18", "int32.gt"),
    )
    assert isinstance(error.cause, ValueError)


async def test_rule_of_the_whole_message_has_no_path() -> None:
    assert await told(Modern(name="Bobby", age=100)) == (
        "validation error: an old one has a long name"
    )


async def test_rule_without_a_text_is_told_by_its_name() -> None:
    request = Account(contact=Contact(email="a@b.example"), code="12345")
    assert await told(request) in (
        "validation error: code: [code.short]",
        'validation error: code: "size(this) < 4" returned false',
    )


async def test_paths_lead_through_lists_and_maps() -> None:
    request = Account(
        contact=Contact(email="no"),
        others=[Contact(email="a@b.example"), Contact()],
        named={'k\n"\u00fc\u200b': Contact()},
        numbered={-7: Contact()},
        switched={True: Contact()},
        labels={"x": "1"},
    )
    error = await refusal(request)
    assert error is not None
    assert [violation.field for violation in error.field_violations] == [
        "contact.email",
        "others[1].email",
        'named["k\\n\\"\u00fc\\u200b"].email',
        "numbered[-7].email",
        "switched[true].email",
        'labels["x"]',
    ]


async def test_what_a_caller_makes_wrong_without_end_is_told_to_an_end() -> None:
    request = Account(contact=Contact(email="a@b.example"), others=[Contact()] * 1000)
    error = await refusal(request)
    assert error is not None
    assert len(error.field_violations) == 50
    assert error.message.endswith("\n - and 950 more")
    keys = {f"{number}{'k' * 70}": Contact() for number in range(45)}
    error = await refusal(Account(contact=Contact(email="a@b.example"), named=keys))
    assert error is not None
    assert len(error.message) < 5000
    assert error.message.endswith(f"\n - and {45 - len(error.field_violations)} more")
    long = Account(contact=Contact(email="a@b.example"), named={"k" * 10_000: Contact()})
    assert len(await told(long)) < 400


async def test_of_a_large_request_the_first_violation_is_told_alone() -> None:
    request = Account(contact=Contact(email="a@b.example"), others=[Contact()] * 100_000)
    assert await told(request) == "validation error: others[0].email: value is required"


async def test_first_violation_may_be_enough() -> None:
    quick = validate(before=[ModernRules(fail_fast=True)])
    assert await told(Modern(), quick) == "validation error: name: must be at least 5 characters"


async def test_rule_that_fails_for_a_request_refuses_it() -> None:
    assert await refusal(Failing(part=2)) is None
    assert "divi" in await told(Failing(part=0))


def test_method_without_rules_is_left_alone() -> None:
    assert ModernRules().for_type(Plain) is None
    assert ModernRules().for_type(str) is None


async def test_rule_that_cannot_be_compiled_stops_the_start_and_is_named() -> None:
    with pytest.raises(StartupError, match=r"/shop.Accounts/Open: shop\.Broken\.Inner: .*broken"):
        await refusal(Broken())


async def test_violations_come_with_checks_of_the_programs_own() -> None:
    def adult(request: Modern) -> FieldViolation | None:
        return FieldViolation("age", "no such age") if request.age > 150 else None

    assert await told(Modern(name="Methuselah", age=969), proto_validate(adult)) == (
        "age: no such age"
    )


def test_at_least_one_violation_is_told() -> None:
    with pytest.raises(ValueError, match="most must be 1 or more"):
        ModernRules(most=0)
