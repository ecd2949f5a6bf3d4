"""What is wrong with a definition, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DefinitionError", "Problem", "Problems"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One finding in one definition.

    Attributes:
        file: Name of the definition as imports spell it, for example ``shop/v1/order.proto``.
        line: Line from 1; 0 where the definition came without source information.
        message: The reason, and what to do.
    """

    file: str
    line: int
    message: str

    def text(self, paths: Mapping[str, str] | None = None) -> str:
        """Return ``file:line: message``.

        Args:
            paths: Where definitions lie on disk, by name; what it lacks keeps its name.
        """
        file = (paths or {}).get(self.file, self.file)
        return f"{file}:{self.line}: {self.message}" if self.line else f"{file}: {self.message}"


class DefinitionError(ValueError):
    """Nothing was generated; ``problems`` holds every reason that was found.

    Args:
        problems: At least one.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(problem.text() for problem in self.problems)


class Problems:
    """Collects what one run finds, so that all of it is reported together."""

    __slots__ = ("_errors", "_warnings")

    def __init__(self) -> None:
        self._errors: list[Problem] = []
        self._warnings: list[Problem] = []

    def error(self, file: str, line: int, message: str) -> None:
        """Note a reason to generate nothing."""
        self._errors.append(Problem(file=file, line=line, message=message))

    def warning(self, file: str, line: int, message: str) -> None:
        """Note something that works and is probably not meant."""
        self._warnings.append(Problem(file=file, line=line, message=message))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """All warnings, by file and line."""
        return tuple(sorted(set(self._warnings)))

    def raise_errors(self) -> None:
        """Raise what has been found so far, if anything.

        Raises:
            DefinitionError: At least one error was noted.
        """
        if self._errors:
            raise DefinitionError(tuple(sorted(set(self._errors))))
