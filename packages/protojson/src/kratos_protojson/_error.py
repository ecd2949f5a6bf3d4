"""The one error of this package, which collects the path to its place on the way up."""

from __future__ import annotations

from typing import Final, Self

__all__ = ["JsonError"]

_LONGEST: Final = 80  # names of unknown fields are the peer's to choose
_MOST_PARTS: Final = 10
_LONGEST_PROBLEM: Final = 200  # protobuf quotes values whole


class JsonError(ValueError):
    """JSON cannot be read as a message, or a message cannot be written as JSON.

    ``str`` gives both parts: ``$.order.lines[3].price: expected a number, got "x"``.

    Args:
        problem: What is wrong; quotes at most a few characters of input.

    Attributes:
        problem: The same.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self._parts: list[str] = []

    @classmethod
    def of(cls, error: ValueError | TypeError) -> JsonError:
        """Return ``error`` as a ``JsonError``; one that is one already stays as it is."""
        if isinstance(error, JsonError):
            return error
        if isinstance(error, UnicodeEncodeError):
            return cls("the text holds one half of a surrogate pair without the other")
        if isinstance(error, UnicodeDecodeError):
            return cls("the text is not UTF-8")
        problem = str(error)
        if len(problem) > _LONGEST_PROBLEM:
            problem = f"{problem[:_LONGEST_PROBLEM]}..."
        return cls(problem)

    def within(self, part: str) -> Self:
        """Note that the value stands in the field ``part``, or in the element ``[part]``."""
        if part:
            self._parts.append(part if len(part) <= _LONGEST else f"{part[:_LONGEST]}...")
        return self

    @property
    def field(self) -> str:
        """Path of the field at fault as the input spells it, empty if there is none."""
        parts = self._parts[::-1]
        if len(parts) > 2 * _MOST_PARTS:  # nesting is the peer's to choose too
            parts = [*parts[:_MOST_PARTS], "...", *parts[-_MOST_PARTS:]]
        return ".".join(parts).replace(".[", "[")

    @property
    def path(self) -> str:
        """JSON path of the place: ``$.order.lines[3].price``, or ``$`` for the whole."""
        field = self.field
        return f"${field}" if field.startswith("[") else f"$.{field}" if field else "$"

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"
