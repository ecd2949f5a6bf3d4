"""How far long work is: a bar on a terminal, and nothing anywhere else."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Final, Self, TextIO

from kratos_cli.printing import bare, shown

__all__ = ["Progress"]

_BAR: Final = 24  # columns
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """A line on a terminal that is drawn over itself, and is gone when the block is left.

    Args:
        stream: The terminal.
        shown: Whether anything is drawn.
    """

    def __init__(self, stream: TextIO, *, shown: bool) -> None:
        self._stream = stream
        self._shown = shown
        self._drawn = ""

    @classmethod
    def on_terminal(cls, *, quiet: bool = False) -> Self:
        """Return one on standard error, which draws if that is a terminal and may be drawn on."""
        able = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        return cls(bare(sys.stderr), shown=able and not quiet)

    @property
    def shown(self) -> bool:
        """Whether anything is drawn."""
        return self._shown

    def step(self, done: int, total: int, what: str) -> None:
        """Tell how far it is.

        Args:
            done: Parts that are done.
            total: Parts that there are; more than none.
            what: What has just been done.
        """
        if not self._shown:
            return
        full = _BAR * min(done, total) // total
        line = f"[{'#' * full}{'-' * (_BAR - full)}] {done}/{total} {shown(what)}"[: self._width]
        if line != self._drawn:
            self._stream.write(f"{_CLEAR}{line}")
            self._stream.flush()
            self._drawn = line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._drawn = ""

    @property
    def _width(self) -> int:
        """Columns to draw on: at the last one, some terminals begin a new line."""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:  # it has gone
            columns = 0
        return (columns or 80) - 1
