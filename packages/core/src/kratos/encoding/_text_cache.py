"""What was worked out for texts that clients send, remembered within bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

__all__ = ["TextCache"]

V = TypeVar("V")

_LONGEST: Final = 256


class TextCache(dict[str, V]):
    """Results by text, made on first use: ``cache[text]``, and nothing else, for their users.

    Clients choose the texts, so long ones are not kept, and a cache that has filled up is
    emptied: honest clients send few different ones and fill it again at once.

    Args:
        make: Works a result out.
        limit: Largest number of results to keep.
    """

    # A dictionary by itself: what is known costs a look-up in C, once or twice per request.
    __slots__ = ("_limit", "_make")

    def __init__(self, make: Callable[[str], V], *, limit: int = 256) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, text: str) -> V:
        result = self._make(text)
        if len(text) <= _LONGEST:
            if len(self) >= self._limit:
                self.clear()
            self[text] = result
        return result
