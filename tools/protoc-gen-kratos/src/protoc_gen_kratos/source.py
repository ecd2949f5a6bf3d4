"""Python source text: lines, wrapping, literals, docstrings."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

__all__ = ["WIDTH", "Source", "byte_literals", "literal"]

WIDTH: Final = 100
_UNPRINTABLE: Final = re.compile(
    r"[^\n\t -~\u00a0-\U0010ffff]|[\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_ESCAPES: Final = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}
_BYTES: Final = tuple(
    _ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}")
    for byte in range(256)
)


class Source:
    """Lines of one module, at an indentation."""

    __slots__ = ("_indent", "_lines")

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._indent = ""

    def text(self) -> str:
        """Return the module, ended by one newline."""
        return "\n".join(self._lines).rstrip("\n") + "\n"

    def line(self, text: str = "") -> None:
        """Add one line at the present indentation."""
        self._lines.append(f"{self._indent}{text}" if text else "")

    def fits(self, text: str) -> bool:
        """Whether ``text`` fits on a line of its own at the present indentation."""
        return len(self._indent) + len(text) <= WIDTH

    def gap(self, lines: int = 1) -> None:
        """Leave ``lines`` empty lines after what is there, however many there were."""
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        self._lines.extend([""] * lines)

    @contextmanager
    def indented(self) -> Generator[None, None, None]:
        """Indent what is added inside."""
        outer = self._indent
        self._indent = f"{outer}    "
        try:
            yield
        finally:
            self._indent = outer

    def wrapped(
        self, head: str, parts: Sequence[str], tail: str, *, is_tuple: bool = False
    ) -> None:
        """Add ``head``, ``parts`` with commas, ``tail``: on one line, on three, or a line each.

        Args:
            head: Up to and with the opening bracket.
            parts: What stands between the brackets.
            tail: From the closing bracket.
            is_tuple: The brackets make a tuple, so a single part has a comma behind it.
        """
        joined = f"{parts[0]}," if is_tuple and len(parts) == 1 else ", ".join(parts)
        one = f"{head}{joined}{tail}"
        if self.fits(one):
            self.line(one)
            return
        self.line(head)
        with self.indented():
            if self.fits(joined):
                self.line(joined)
            else:
                for part in parts:
                    self.line(f"{part},")
        self.line(tail)

    def imports(self, origin: str, names: Sequence[str], comment: str = "") -> None:
        """Add one import of several names, with a comment on its first line."""
        one = f"from {origin} import {', '.join(names)}"
        if len(one) <= WIDTH:
            self.line(f"{one}{comment}")
            return
        self.line(f"from {origin} import ({comment}")
        with self.indented():
            for name in names:
                self.line(f"{name},")
        self.line(")")

    def docstring(self, text: str) -> None:
        """Add ``text`` as a docstring, whatever it contains."""
        lines = _docstring_lines(text)
        if len(lines) == 1 and not lines[0].endswith('"'):
            self.line(f'"""{lines[0]}"""')
            return
        self.line(f'"""{lines[0]}')
        for line in lines[1:]:
            self.line(line)
        self.line('"""')


def literal(text: str) -> str:
    """Return ``text`` as a string literal in double quotes, wherever that needs no escapes."""
    if '"' in text:
        return repr(text)
    return '"' + repr("'" + text)[2:]


def byte_literals(data: bytes, width: int) -> Iterator[str]:
    """Yield literals of at most ``width`` columns that concatenate to ``data``."""
    line: list[str] = []
    room = width - len('b""')
    used = 0
    for byte in data:
        shown = _BYTES[byte]
        if used + len(shown) > room:
            yield f'b"{"".join(line)}"'
            line.clear()
            used = 0
        line.append(shown)
        used += len(shown)
    yield f'b"{"".join(line)}"'


def _docstring_lines(text: str) -> list[str]:
    """Escape what would end or change the literal, and take the common indentation away."""
    escaped = text.replace("\r\n", "\n").replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    escaped = _UNPRINTABLE.sub(lambda found: ascii(found.group())[1:-1], escaped)
    lines = [line.rstrip().expandtabs(4) for line in escaped.split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    margins = [len(line) - len(line.lstrip(" ")) for line in lines if line]
    margin = min(margins, default=0)
    return [line[margin:] for line in lines] or [""]
