"""What an answer has to look like (Go: proxy/condition)."""

from __future__ import annotations

import pytest

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Condition
from kratos_gateway.conditions import any_of
from kratos_gateway.exchange import Answer


def status(text: str) -> Condition:
    return Condition(by_status_code=text)


def header(name: str, value: str) -> Condition:
    return Condition(by_header=Condition.header(name=name, value=value))


@pytest.mark.parametrize(
    ("text", "code", "met"),
    [
        ("500", 500, True),
        ("500", 501, False),
        ("500-504", 500, True),
        ("500-504", 504, True),
        ("500-504", 505, False),
        (" 500 - 504 ", 502, True),
    ],
)
def test_status_is_one_or_within_a_range(text: str, code: int, met: bool) -> None:
    assert any_of([status(text)])(Answer(code)) is met


@pytest.mark.parametrize(
    ("value", "sent", "met"),
    [
        ("14", b"14", True),
        ("14", b"1", False),
        ('["1","14"]', b"14", True),
        ('["1","14"]', b"2", False),
        ("14", b"", False),
        ("", b"", False),
        ("A", b"a", False),
    ],
)
def test_header_is_a_text_or_in_a_list(value: str, sent: bytes, met: bool) -> None:
    answer = Answer(200, [(b"grpc-status", sent)])
    assert any_of([header("Grpc-Status", value)])(answer) is met


def test_a_header_that_is_not_there_meets_nothing_and_its_case_does_not_count() -> None:
    met = any_of([header("xxx-Should-Retry", "true")])
    assert met(Answer(200, [(b"xxx-should-retry", b"true")]))
    assert not met(Answer(200))


def test_one_of_several_suffices_and_none_never_does() -> None:
    assert any_of([status("500"), header("A", "1")])(Answer(200, [(b"a", b"1")]))
    assert not any_of([])(Answer(200))


@pytest.mark.parametrize(
    "condition",
    [
        *map(status, ["", "a", "500-", "-", "1-2-3", "99999", "5.0"]),
        *(header("A", value) for value in ("[", "[1]")),
        header("", "1"),
        Condition(),
    ],
)
def test_what_cannot_be_understood_is_refused(condition: Condition) -> None:
    with pytest.raises(ConfigError):
        any_of([condition])
