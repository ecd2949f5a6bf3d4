"""Whether a server that has failed is asked again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from redis.exceptions import (
    RedisClusterException,
    RedisError,
    ResponseError,
)

from aegis import Backoff, Clock
from aegis.clock import NANOSECONDS
from kratos_redis.questions import is_used_up

__all__ = ["NO_ANSWER", "Circuit", "OnTurn"]

NO_ANSWER: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What clients raise instead of an answer."""

OnTurn: TypeAlias = Callable[[BaseException | None], None]
"""Told the error when a server goes away, or is of no use, and ``None`` when it is back."""

_NO_USE: Final = 10  # bad answers in a row: of a key or two there would be good ones in between


def _nothing(_error: BaseException | None) -> None:
    """Tell nobody."""


class Circuit:
    """Closed while the server answers. After a failure nobody asks for a while, then one does.

    Args:
        backoff: How long nobody asks after so many failures in a row.
        clock: Gives nanoseconds.
        random: Gives numbers of [0, 1).
        on_turn: Told when the server goes away, or gives nothing but bad answers, and when it
            gives a good one again.
    """

    __slots__ = (
        "_asking",
        "_backoff",
        "_bad",
        "_clock",
        "_failures",
        "_on_turn",
        "_random",
        "_told",
        "_turns",
        "_until",
        "error",
    )

    def __init__(
        self,
        backoff: Backoff,
        *,
        clock: Clock,
        random: Callable[[], float],
        on_turn: OnTurn | None = None,
    ) -> None:
        self._backoff = backoff
        self._clock = clock
        self._random = random
        self._on_turn = _nothing if on_turn is None else on_turn
        self._told = False
        self._bad = 0  # bad answers in a row
        self._failures = 0
        self._until = 0
        self._turns = 0
        self._asking: int | None = None  # whose turn it is to find out whether it is back
        self.error: BaseException | None = None

    def ask(self) -> int | None:
        """Return the turn of a call that is to ask the server now; if it failed before, of one.

        With a turn one of the other methods has to be called at the end; ``None`` is none.
        """
        if self.error is None:
            return 0
        if self._asking is not None or self._clock() < self._until:
            return None
        self._turns += 1
        self._asking = self._turns
        return self._asking

    def rest(self) -> float:
        """Return the seconds for which nobody asks."""
        return max(0, self._until - self._clock()) / NANOSECONDS

    def succeeded(self) -> None:
        """Note that the server gave a good answer."""
        self._bad = 0
        self._answered()
        if self._told:
            self._told = False
            self._on_turn(None)

    def heard(self, error: BaseException, turn: int) -> None:
        """Note one of ``NO_ANSWER``."""
        if is_used_up(error):
            self.gave_up(turn)  # the server was not asked
        elif type(error) is ResponseError:
            # An answer, though a bad one: of this key or of this script, not of the server.
            self._answered()
            self._bad += 1
            if self._bad >= _NO_USE:
                self._tell(error)
        else:
            self.failed(error, turn)

    def failed(self, error: BaseException, turn: int) -> None:
        """Note that the server did not answer."""
        if self.error is not None and self._asking != turn:
            return  # one of those under way when it went: it is known
        self.error = error
        self._asking = None
        delay = self._backoff.delay(self._failures, self._random)
        self._until = self._clock() + round(delay * NANOSECONDS)
        self._failures += 1
        self._tell(error)

    def gave_up(self, turn: int) -> None:
        """Note that nobody waited for the answer."""
        if self._asking == turn:  # not those from before it failed, which may end at any time
            self._asking = None

    def _answered(self) -> None:
        if self.error is not None:
            self.error = None
            self._failures = 0
            self._asking = None

    def _tell(self, error: BaseException) -> None:
        if not self._told:
            self._told = True
            self._on_turn(error)
