"""Conditions on answers: for another attempt, or for what counts as a success (Go: condition)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, cast

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Condition
from kratos_gateway.exchange import Answer
from kratos_gateway.headers import first

__all__ = ["Judge", "any_of", "judge_of", "judges_of"]

Judge: TypeAlias = Callable[[Answer], bool]
"""Tells whether an answer fulfils a condition."""

_STATUS: Final = re.compile(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", re.ASCII)
_MOST: Final = 32767  # Go reads 16 bits


def any_of(conditions: Iterable[Condition]) -> Judge:
    """Return what tells whether an answer fulfils one of some conditions.

    Raises:
        ConfigError: One is none; says what is wrong.
    """
    judges = judges_of(conditions)
    return lambda answer: any(judge(answer) for judge in judges)


def judges_of(conditions: Iterable[Condition]) -> Sequence[Judge]:
    """Return what judges by each of some conditions.

    Raises:
        ConfigError: One is none; says what is wrong.
    """
    return [judge_of(condition) for condition in conditions]


def judge_of(condition: Condition) -> Judge:
    """Return what judges by a condition.

    Raises:
        ConfigError: It is none; says what is wrong.
    """
    kind = condition.WhichOneof("condition")
    if kind == "by_status_code":
        return _by_status(condition.by_status_code)
    if kind == "by_header":
        return _by_header(condition.by_header.name, condition.by_header.value)
    raise ConfigError("a condition is empty: write by_status_code or by_header")


def _by_status(text: str) -> Judge:
    found = _STATUS.fullmatch(text)
    if found is None or max(int(each) for each in found.groups("0")) > _MOST:
        raise ConfigError(f"by_status_code is a status, or two such as 502-504, not {text!r}")
    least, most = int(found[1]), int(found[2] or found[1])
    if least > most:
        raise ConfigError(f"by_status_code {text!r} begins after its end")
    return lambda answer: least <= answer.status <= most


def _by_header(name: str, text: str) -> Judge:
    if not name:
        raise ConfigError("by_header lacks the name of the header")
    key = name.lower().encode("latin-1", "replace")
    wanted = frozenset(value.encode() for value in _values(text))

    def fits(answer: Answer) -> bool:
        # Trailers of a whole answer count as well: there gRPC has the status of most calls.
        value = answer.header(key) or first(answer.trailers, key)
        return value != b"" and value in wanted

    return fits


def _values(text: str) -> Sequence[str]:
    if not text.startswith("["):
        return [text]
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"the value of by_header begins as a list in JSON, and is none: {error}"
        ) from None
    values = cast("list[object]", found)
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) != len(values):
        raise ConfigError("the value of by_header is a list of what is no text: put each in quotes")
    return texts
