"""Who calls, as back ends are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.principal import Principal
from kratos_gateway.middleware.callers import (
    called_by,
    caller_of,
    parameter,
    sendable,
    without_cookie,
    without_parameter,
)
from kratos_gateway.middleware.testing import request_to

ADA = Principal(subject="ada", scheme="basic")


@pytest.mark.parametrize("header", [b"x-auth-user", b"x_auth_user"])
def test_header_that_tells_a_caller_is_dropped_however_a_client_spells_it(header: bytes) -> None:
    sent = [(name, "root") for name in ("X-Auth-User", "X_Auth_User", "X-Auth_User")]
    request = called_by(request_to(headers=[*sent, ("x-other", "1")]), ADA, header=header)
    assert request.headers == [(b"x-other", b"1"), (header, b"ada")]


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        (["a=1; t=x; b=2"], ["a=1; b=2"]),
        (["t=x"], []),
        (["t=x; t=y; tt=z", "u=1"], ["tt=z", "u=1"]),
        (["a=t; b"], ["a=t; b"]),
    ],
)
def test_cookie_is_taken_off_and_others_stay(sent: list[str], left: list[str]) -> None:
    request = request_to(headers=[("cookie", each) for each in sent])
    kept = without_cookie(request, b"t")
    assert kept.headers == [(b"cookie", each.encode()) for each in left]


def test_of_a_parameter_that_is_given_too_often_two_values_tell_enough() -> None:
    request = request_to("/?k=1&%6b=%32&+k=3&k=4")
    assert parameter(request, "k") == ["1", "2"]
    assert without_parameter(request, "k").query == "+k=3"
    assert parameter(request, " k") == ["3"]
    assert parameter(request, "+k") == []


def test_nobody_takes_no_caller_back_who_was_found_before() -> None:
    request = called_by(request_to(), ADA)
    assert caller_of(called_by(request, None)) == ADA


@pytest.mark.parametrize(
    ("subject", "sent"),
    [
        ("ada", "ada"),
        ("Zo\u00eb K.", "Zo\u00eb K."),
        ("adm\u00adin", "adm\ufffdin"),
        ("admin\u200b", "admin\ufffd"),
        ("admin\r\nx: y", "admin\ufffd\ufffdx: y"),
        (" admin ", "\ufffdadmin\ufffd"),
        ("\ud800admin", "\ufffdadmin"),
        ("  ", "\ufffd\ufffd"),
    ],
)
def test_nobody_is_told_for_somebody_else(subject: str, sent: str) -> None:
    assert sendable(subject).decode() == sent


@given(st.text())
def test_every_text_can_be_sent_and_only_itself_is_sent_as_it_is(text: str) -> None:
    value = sendable(text)
    assert value == value.strip()
    assert not any(byte < 0x20 or byte == 0x7F for byte in value)
    assert value.decode() == text or "\ufffd" in value.decode()
