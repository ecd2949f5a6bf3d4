"""How clients take up a stream of events again that was lost."""

from __future__ import annotations

import random as _random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aegis.backoff import Backoff
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError

__all__ = ["Reconnect"]

_BACKOFF: Final = Backoff(base=0.5, cap=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """When a client asks again for the events that follow the last one it has.

    It does for methods that may be called twice, and from servers whose events have an ``id``,
    which it sends back as ``Last-Event-ID`` (WHATWG HTML, 9.2.4). What came is not delivered twice,
    as long as the server goes on where it was. It asks the node that it had.

    Args:
        attempts: Most attempts in a row that bring no event; at least 1.
        backoff: Waits between them, in seconds, on top of what the server asks for by ``retry``.
        max_retry: Most seconds that a server may ask for.
        clock: Time.
        random: Gives numbers of [0, 1).

    Raises:
        ConfigError: A number is out of its range.
    """

    attempts: int = 5
    backoff: Backoff = _BACKOFF
    max_retry: float = 60.0
    clock: Clock = SYSTEM_CLOCK
    random: Callable[[], float] = _random.random

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"attempts={self.attempts}: use at least 1, or no Reconnect")
        if not self.max_retry >= 0:
            raise ConfigError(f"max_retry={self.max_retry} is less than 0")

    def delay(self, failures: int, retry: float) -> float:
        """Return the seconds to wait before the next attempt.

        Args:
            failures: Attempts in a row that brought no event.
            retry: Seconds that the server asks for.
        """
        return min(retry, self.max_retry) + self.backoff.delay(failures, self.random)
