"""What an answer has to look like to count as a success (Go: proxy/condition)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias, cast

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Condition
from kratos_gateway.exchange import Answer

__all__ = ["Matches", "any_of"]

Matches: TypeAlias = Callable[[Answer], bool]

_MOST: Final = 2**15 - 1  # as in Go, where a status is an int16


def any_of(conditions: Iterable[Condition], /) -> Matches:
    """Return what tells whether an answer meets one of the conditions.

    Raises:
        ConfigError: One cannot be understood.
    """
    tests = [_test(condition) for condition in conditions]
    return lambda answer: any(test(answer) for test in tests)


def _test(condition: Condition) -> Matches:
    kind = condition.WhichOneof("condition")
    if kind == "by_status_code":
        return _by_status(condition.by_status_code)
    if kind == "by_header":
        return _by_header(condition.by_header.name, condition.by_header.value)
    raise ConfigError("a condition is empty: write byStatusCode or byHeader")


def _by_status(text: str) -> Matches:
    ends = [part.strip() for part in text.split("-")]
    if len(ends) > 2 or not all(_is_status(end) for end in ends):
        raise ConfigError(f'byStatusCode is one status or a range such as "502-504", not {text!r}')
    first, last = int(ends[0]), int(ends[-1])
    return lambda answer: first <= answer.status <= last


def _is_status(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= _MOST


def _by_header(name: str, value: str) -> Matches:
    if not name:
        raise ConfigError("byHeader has no name")
    values = {each.encode() for each in _values(name, value)}
    key = name.lower().encode()

    def matches(answer: Answer) -> bool:
        found = answer.header(key)
        return bool(found) and found in values

    return matches


def _values(name: str, value: str) -> list[str]:
    if not value.startswith("["):
        return [value]
    try:
        found: object = json.loads(value)
    except ValueError as error:
        raise ConfigError(f"byHeader {name}: {value!r} is no JSON list of texts") from error
    listed = cast("list[object]", found)
    if not all(isinstance(each, str) for each in listed):
        raise ConfigError(f"byHeader {name}: {value!r} is no JSON list of texts")
    return cast("list[str]", found)
