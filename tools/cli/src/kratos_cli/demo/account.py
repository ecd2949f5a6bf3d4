"""The account of the calls: who called whom, by what, the answer, the time; in colour."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from kratos_cli.demo.journal import Entry

__all__ = ["Account"]

_BOLD, _DIM, _RED, _GREEN, _BLUE = "1", "2", "31", "32", "34"
_WHAT_WIDTH = 58
_ANSWER_WIDTH = 72


class Account:
    """Prints to a stream, coloured when that is a terminal and nobody minds.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        wanted = self._stream.isatty() or bool(os.environ.get("FORCE_COLOR"))
        self._colour = wanted and "NO_COLOR" not in os.environ
        self.calls = 0

    def title(self, text: str) -> None:
        """Print the title of a part."""
        self._print("")
        self._print(self._paint(text, _BOLD))

    def note(self, text: str) -> None:
        """Print a line of small print."""
        self._print("  " + self._paint(text, _DIM))

    def plain(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def part(self, text: str) -> None:
        """Print the title of a part of a part."""
        self._print("")
        self._print("  " + self._paint(text, _DIM))

    def call(self, who: str, target: str, what: str, *, code: int, answer: str, ms: float) -> None:
        """Print one call.

        Args:
            who: The caller.
            target: Whom it called.
            what: By what, and which operation.
            code: How it ended.
            answer: What came back, or why nothing did.
            ms: Milliseconds it took.
        """
        self.calls += 1
        colour = _GREEN if code < 400 else _RED
        short = answer if len(answer) <= _ANSWER_WIDTH else answer[: _ANSWER_WIDTH - 1] + "…"
        names = self._paint(f"{who:>10} → {target:<8}", _BLUE)
        self._print(
            f"  {names} {what:<{_WHAT_WIDTH}} {self._paint(str(code), colour)} "
            f"{self._paint(f'{ms:6.1f} ms', _DIM)}  {short}"
        )

    def caused(self, entry: Entry) -> None:
        """Print a call that a service made on account of the last one."""
        kind = {"http": "HTTP", "grpc": "gRPC"}.get(entry.by, entry.by)
        self.call(
            f"↳ {entry.who}",
            entry.target.rpartition("/")[2],
            f"{kind} {entry.operation.rpartition('/')[2]}",
            code=entry.code,
            answer=f"{entry.reason} {entry.answer}".strip(),
            ms=entry.ms,
        )

    def _paint(self, text: str, colour: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._colour else text

    def _print(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()
