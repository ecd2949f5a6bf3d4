"""What a terminal shows, and does not obey."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Generator
from typing import IO, Any, Final, TextIO, cast

__all__ = ["bare", "closed_early", "plain", "shown"]

# Control characters but tabs and line breaks, those that turn the direction of text, and what
# stands for bytes of names that are no text.
_OBEYED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def shown(text: str) -> str:
    r"""Return a text with ``\u001b`` in place of what a terminal would obey.

    JSON means the same afterwards: it has such characters within its texts alone.
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


@contextlib.contextmanager
def plain() -> Generator[None]:
    """Write what the block prints as ``shown``: it tells what servers and files have said."""
    with (
        contextlib.redirect_stdout(_plain(sys.stdout)),
        contextlib.redirect_stderr(_plain(sys.stderr)),
    ):
        yield


def bare(stream: TextIO) -> TextIO:
    """Return a stream that ``plain`` has put another one before: for who draws on a terminal."""
    return stream.bare if isinstance(stream, _Plain) else stream


def closed_early() -> None:
    """Let nobody write any more to standard output: who read it has gone, as ``head`` does."""
    with contextlib.suppress(OSError, ValueError):  # it may be no file at all
        there = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, there)
        os.close(nowhere)


def _plain(stream: TextIO) -> IO[str]:
    return cast("IO[str]", _Plain(stream))


class _Plain:
    """A stream that writes as ``shown``, and is the other one in all else."""

    def __init__(self, stream: TextIO) -> None:
        self.bare = stream

    def write(self, text: str) -> int:
        self.bare.write(shown(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)
