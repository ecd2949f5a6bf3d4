"""A failure on its way up through a message, collecting the path to its place."""

from __future__ import annotations

from typing import Final

from kratos.encoding._codec import CodecError

__all__ = ["Fault"]

_LONGEST: Final = 80  # names of unknown fields are the peer's to choose
_LONGEST_PROBLEM: Final = 200  # protobuf quotes values whole


class Fault(ValueError):
    """Something is wrong with one value; never leaves this package."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self._parts: list[str] = []

    @staticmethod
    def of(error: ValueError | TypeError) -> Fault:
        """Return ``error`` as a fault."""
        if isinstance(error, Fault):
            return error
        if isinstance(error, UnicodeEncodeError):
            return Fault("the text holds one half of a surrogate pair without the other")
        problem = str(error)
        if len(problem) > _LONGEST_PROBLEM:
            problem = f"{problem[:_LONGEST_PROBLEM]}..."
        return Fault(problem)

    def within(self, part: str) -> Fault:
        """Note that the value stands in the field ``part``, or in the element ``[part]``."""
        if part:
            self._parts.append(part if len(part) <= _LONGEST else f"{part[:_LONGEST]}...")
        return self

    def error(self) -> CodecError:
        """Return what callers see."""
        path = ".".join(reversed(self._parts)).replace(".[", "[")
        return CodecError(f"{path}: {self.problem}" if path else self.problem, path)
