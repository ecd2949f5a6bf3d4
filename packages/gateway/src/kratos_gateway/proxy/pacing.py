"""How long to wait before another attempt."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

from aegis.backoff import Backoff
from kratos.clock import Clock
from kratos_gateway.exchange import Answer
from kratos_gateway.headers import first

__all__ = ["Pace"]

_PUSHBACK: Final = b"grpc-retry-pushback-ms"


class Pace:
    """Exponential back-off with full jitter, and no less than what an answer asks for.

    Args:
        backoff: How the waits grow.
        clock: Time to wait in.
        draw: A number of [0, 1) at random.
    """

    __slots__ = ("_backoff", "_clock", "_draw")

    def __init__(
        self, backoff: Backoff, *, clock: Clock, draw: Callable[[], float] = random.random
    ) -> None:
        self._backoff = backoff
        self._clock = clock
        self._draw = draw

    def wait(self, made: int, answer: Answer | None) -> float:
        """Return seconds to wait; infinite if there is not to be another one.

        Args:
            made: How many attempts there were, the first included.
            answer: To the last one, whose ``Retry-After`` and ``grpc-retry-pushback-ms`` count;
                ``None`` if there is none.
        """
        drawn = self._backoff.delay(made - 1, self._draw)
        told = 0.0 if answer is None else self._told(answer)
        return max(drawn, told)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._clock.sleep(seconds)

    def _told(self, answer: Answer) -> float:
        """Return the seconds that an answer asks for; 0 if it does not, infinite for never again.

        Sources: RFC 9110, 10.2.3, and for calls of gRPC its proposal A6.
        """
        pushback = answer.header(_PUSHBACK) or first(answer.trailers, _PUSHBACK)
        if pushback:  # what is no number says no, too
            return float(pushback[:9]) / 1000 if pushback.isdigit() else math.inf
        text = answer.header(b"retry-after")
        if not text:
            return 0.0
        if text.isdigit():
            return float(text[:9])  # some thirty years, and no endless text
        try:
            return parsedate_to_datetime(text.decode("latin-1")).timestamp() - self._clock.wall()
        except (ValueError, OverflowError):
            return 0.0
