"""What happens, for programs: a line of JSON on standard output for each event."""

from __future__ import annotations

import json
import os
import sys
from threading import Lock
from typing import Final, TextIO

__all__ = ["Events"]

_OUT: Final = 1
_ERR: Final = 2


class Events:
    """Tells events to whoever asked for them, and to nobody else.

    Args:
        stream: Where lines go; ``None`` if nobody asked.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = Lock()

    @classmethod
    def wanted(cls, asked: bool) -> Events:  # noqa: FBT001  the only argument
        """Return events on standard output if they were asked for."""
        return cls(sys.stdout if asked else None)

    @classmethod
    def alone(cls) -> Events:
        """Return events that have standard output to themselves.

        What this process, and what it starts, writes there from now on goes to standard error.
        """
        sys.stdout.flush()
        own = os.fdopen(os.dup(_OUT), "w", encoding="utf-8")
        os.dup2(_ERR, _OUT)
        return cls(own)

    @property
    def told(self) -> bool:
        """Whether somebody asked for them."""
        return self._stream is not None

    def tell(self, event: str, /, **fields: object) -> None:
        """Write one event, whole and at once; from any thread.

        Args:
            event: Its name.
            fields: What it is about; whatever JSON does not know is written as text.
        """
        if self._stream is None:
            return
        line = json.dumps({"event": event, **fields}, ensure_ascii=False, default=str)
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def say(self, text: str) -> None:
        """Write a line for people: to standard output, or beside the events."""
        print(text, file=sys.stdout if self._stream is None else sys.stderr, flush=True)
