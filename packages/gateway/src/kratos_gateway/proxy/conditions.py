"""Conditions on answers: for another attempt, or for what counts as a success."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, cast

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Condition
from kratos_gateway.exchange import Answer
from kratos_gateway.headers import first

__all__ = ["Judge", "judge_of", "judges_of"]

Judge: TypeAlias = Callable[[Answer], bool]
"""Tells whether an answer fulfils a condition."""

_MOST: Final = 32767  # Go reads 16 bits


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
    raise ConfigError("a condition is empty: give it by_status_code or by_header")


def _by_status(text: str) -> Judge:
    parts = [part.strip() for part in text.split("-")]
    codes = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) <= 5]
    if len(codes) != len(parts) or len(codes) > 2 or max(codes) > _MOST:
        raise ConfigError(f"by_status_code {text!r} is no status: write 429, or 502-504")
    least, most = codes[0], codes[-1]
    return lambda answer: least <= answer.status <= most


def _by_header(name: str, text: str) -> Judge:
    if not name:
        raise ConfigError("by_header has no name")
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
        raise ConfigError(f"by_header: {text!r} is no JSON list: {error}") from None
    values = cast("list[object]", found)
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) != len(values):
        raise ConfigError(f"by_header: {text!r} holds what is no text")
    return texts
