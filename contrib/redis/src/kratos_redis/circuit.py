"""Whether a server that has failed is asked again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from redis.exceptions import (
    RedisClusterException,
    RedisError,
    ResponseError,
)

from aegis import Backoff, Clock
from aegis.clock import NANOSECONDS
from kratos_redis.questions import is_used_up

__all__ = ["NO_ANSWER", "Circuit"]

NO_ANSWER: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What clients raise instead of an answer."""


class Circuit:
    """Closed while the server answers. After a failure nobody asks for a while, then one does.

    Args:
        backoff: How long nobody asks after so many failures in a row.
        clock: Gives nanoseconds.
        random: Gives numbers of [0, 1).
    """

    __slots__ = ("_asking", "_backoff", "_clock", "_failures", "_random", "_until", "error")

    def __init__(self, backoff: Backoff, *, clock: Clock, random: Callable[[], float]) -> None:
        self._backoff = backoff
        self._clock = clock
        self._random = random
        self._failures = 0
        self._until = 0
        self._asking = False
        self.error: BaseException | None = None

    def ask(self) -> bool:
        """Return whether the server is to be asked now; if it failed before, by this call alone.

        After true, one of the other methods has to be called.
        """
        if self.error is None:
            return True
        if self._asking or self._clock() < self._until:
            return False
        self._asking = True
        return True

    def rest(self) -> float:
        """Return the seconds for which nobody asks."""
        return max(0, self._until - self._clock()) / NANOSECONDS

    def succeeded(self) -> None:
        """Note that the server answered."""
        if self.error is not None:
            self.error = None
            self._failures = 0
            self._asking = False

    def heard(self, error: BaseException) -> None:
        """Note one of ``NO_ANSWER``."""
        if is_used_up(error):
            self.gave_up()  # the server was not asked
        elif type(error) is ResponseError:
            # An answer, though a bad one: of this key or of this script, not of the server.
            self.succeeded()
        else:
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """Note that the server did not answer."""
        if self.error is not None and not self._asking:
            return  # one of those under way when it went: it is known
        self.error = error
        self._asking = False
        delay = self._backoff.delay(self._failures, self._random)
        self._until = self._clock() + round(delay * NANOSECONDS)
        self._failures += 1

    def gave_up(self) -> None:
        """Note that nobody waited for the answer."""
        self._asking = False
