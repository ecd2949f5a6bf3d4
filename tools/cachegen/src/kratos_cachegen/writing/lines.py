"""Lines of Python, laid out as ruff and black do it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

__all__ = ["WIDTH", "Lines"]

WIDTH: Final = 100
_STEP: Final = "    "


class Lines:
    """Lines of a module, with an indentation that blocks deepen."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._indent = ""

    def text(self) -> str:
        """Return the module."""
        return "\n".join(self._lines).rstrip() + "\n"

    def add(self, *lines: str) -> None:
        """Add lines; an empty one stays empty."""
        self._lines += [f"{self._indent}{line}" if line else "" for line in lines]

    @contextmanager
    def block(self, head: str) -> Generator[None]:
        """Add a line, and lines below it."""
        self.add(head)
        with self.indented():
            yield

    @contextmanager
    def indented(self) -> Generator[None]:
        """Add lines that are further right."""
        before = self._indent
        self._indent += _STEP
        try:
            yield
        finally:
            self._indent = before

    def call(self, head: str, parts: Sequence[str], tail: str) -> None:
        """Add a call or a definition: in one line if it fits, else in several.

        Args:
            head: What is before the parts, with the opening bracket.
            parts: Arguments or parameters.
            tail: What is behind, with the closing bracket.
        """
        if self._fits(head + ", ".join(parts) + tail):
            self.add(head + ", ".join(parts) + tail)
            return
        self.add(head)
        with self.indented():
            together = ", ".join(parts)
            if self._fits(together):
                self.add(together)
            else:
                self.add(*(f"{part}," for part in parts))
        self.add(tail)

    def doc(self, text: str) -> None:
        """Add a docstring."""
        safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        first, *rest = safe.splitlines()
        if not rest and not first.endswith('"'):
            self.add(f'"""{first}"""')
            return
        self.add(f'"""{first}')
        self.add(*(line.rstrip() for line in rest))
        self.add('"""')

    def comprehension(self, head: str, parts: Sequence[str], tail: str) -> None:
        """Add a comprehension: in one line if it fits, else with a line for each part."""
        line = f"{head}{' '.join(parts)}{tail}"
        if self._fits(line):
            self.add(line)
            return
        self.add(head)
        with self.indented():
            self.add(*parts)
        self.add(tail)

    def _fits(self, line: str) -> bool:
        return len(self._indent) + len(line) <= WIDTH
