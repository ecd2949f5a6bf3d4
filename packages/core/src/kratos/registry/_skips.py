"""Entries that a read leaves out because nobody can decode them."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Final

from kratos.limit import describe, one_line

__all__ = ["Skips"]

_REMEMBERED: Final = 1024

_log = logging.getLogger("kratos.registry")


class Skips:
    """Counts undecodable entries, and logs each once.

    One bad entry, perhaps of a newer version or of another program, must not blind a client
    to the good ones, nor fill its log.

    Attributes:
        count: Different bad entries so far.
    """

    __slots__ = ("_seen", "count")

    def __init__(self) -> None:
        self._seen: dict[int, None] = {}
        self.count = 0

    def skip(self, entry: str, error: BaseException, *, version: Hashable = None) -> None:
        """Note a bad entry.

        Args:
            entry: Where it is, for the log.
            error: What is wrong with it.
            version: Revision or time of its content; a changed entry is logged again.
        """
        key = hash((entry, version))  # either may be of any length
        if key in self._seen:
            return
        if len(self._seen) == _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = None
        self.count += 1
        _log.warning("left out %s: %s", one_line(entry), describe(error))
