"""Coroutines in order of arrival, of which the first may try."""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections import OrderedDict
from typing import TypeAlias

__all__ = ["Line", "Place"]

Place: TypeAlias = "Future[None]"
"""Ends when its owner is the first in line."""


class Line:
    """Those who wait for the permits of one key, on whatever loops they run."""

    __slots__ = ("_places", "wanted")

    def __init__(self) -> None:
        self._places: OrderedDict[Place, int] = OrderedDict()
        self.wanted = 0

    def __len__(self) -> int:
        return len(self._places)

    def join(self, n: int) -> Place:
        """Return a place at the end for one who wants ``n`` permits.

        Raises:
            RuntimeError: No loop runs in this thread.
        """
        place = get_running_loop().create_future()
        if not self._places:
            place.set_result(None)
        self._places[place] = n
        self.wanted += n
        return place

    def leave(self, place: Place) -> list[Place]:
        """Give up a place, with or without permits; behind the first one the next moves up.

        Nothing happens if the place was taken out already.

        Returns:
            Places that were taken out because their loops are closed: nobody ever comes for them.
        """
        dead: list[Place] = []
        if place not in self._places:
            return dead
        was_first = self._first() is place
        self.wanted -= self._places.pop(place)
        while was_first and self._places:
            first = self._first()
            try:
                # It may belong to another loop, in another thread.
                first.get_loop().call_soon_threadsafe(_end, first)
            except RuntimeError:
                self.wanted -= self._places.pop(first)
                dead.append(first)
            else:
                break
        return dead

    def _first(self) -> Place:
        return next(iter(self._places))


def _end(place: Place) -> None:
    if not place.done():  # its owner may have given up
        place.set_result(None)
