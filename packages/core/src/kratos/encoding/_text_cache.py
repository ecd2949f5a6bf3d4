"""What was worked out for texts that clients send, remembered within bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["TextCache"]

V = TypeVar("V")

_LONGEST: Final = 256


class TextCache(Generic[V]):
    """Results by text, made on first use.

    Clients choose the texts, so long ones are not kept, and a cache that has filled up is
    emptied: honest clients send few different ones and fill it again at once.

    Args:
        make: Works a result out.
        limit: Largest number of results to keep.
    """

    __slots__ = ("_limit", "_make", "_results")

    def __init__(self, make: Callable[[str], V], *, limit: int = 256) -> None:
        self._make = make
        self._limit = limit
        self._results: dict[str, V] = {}

    def __call__(self, text: str) -> V:
        try:
            return self._results[text]
        except KeyError:
            result = self._make(text)
        if len(text) <= _LONGEST:
            if len(self._results) >= self._limit:
                self._results.clear()
            self._results[text] = result
        return result

    def __len__(self) -> int:
        return len(self._results)

    def clear(self) -> None:
        """Forget all results."""
        self._results.clear()
