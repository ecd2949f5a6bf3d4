"""What the peers of tests get."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Answer", "Headers"]

Headers: TypeAlias = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer.

    Attributes:
        status: Its status.
        headers: Lower-case names and values, in the order they came.
        body: Its body, without its transfer coding.
        trailers: Its trailers.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes = b""
    trailers: Sequence[tuple[str, str]] = ()

    def values(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        """Return the first value of a header, empty if there is none."""
        return next(iter(self.values(name)), "")

    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)
