"""When workers are started again, and when there are enough of them: arithmetic, no waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aegis.backoff import Backoff

__all__ = ["BACKOFF", "Quorum", "Restarts", "Verdict"]

BACKOFF: Final = Backoff(base=0.25, cap=30.0, jitter="equal")
STABLE: Final = 10.0  # seconds of serving after which earlier deaths are forgotten


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows from the end of a worker.

    Attributes:
        delay: Seconds before the next start.
        close: Whether its sockets are closed meanwhile, because connections that wait there
            wait for nobody.
    """

    delay: float
    close: bool


class Restarts:
    """The deaths of one slot.

    The first one after a stable life is answered at once: connections are waiting. Each further
    one waits longer.

    Args:
        backoff: Waits between deaths that follow each other.
        stable: Seconds of serving after which earlier deaths are forgotten.
        random: Gives a number of [0, 1), for jitter.
    """

    __slots__ = ("_backoff", "_deaths", "_random", "_stable")

    def __init__(
        self,
        *,
        backoff: Backoff = BACKOFF,
        stable: float = STABLE,
        random: Callable[[], float],
    ) -> None:
        self._backoff = backoff
        self._stable = stable
        self._random = random
        self._deaths = 0

    def ended(self, served: float | None, /) -> Verdict:
        """Decide after the end of a worker.

        Args:
            served: Seconds since it was ready; ``None`` if it never was.
        """
        if served is not None and served >= self._stable:
            self._deaths = 0
        at_once = served is not None and self._deaths == 0
        delay = 0.0 if at_once else self._backoff.delay(max(0, self._deaths - 1), self._random)
        self._deaths += 1
        return Verdict(delay=delay, close=served is None)


class Quorum:
    """Whether enough slots serve: all of them once, and from then on a least number.

    Args:
        slots: How many there are.
        least: How many have to serve.
    """

    __slots__ = ("_least", "_ready", "_seen", "_slots")

    def __init__(self, slots: int, *, least: int) -> None:
        self._slots = slots
        self._least = least
        self._ready: set[int] = set()
        self._seen: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether every slot was ready once."""
        return len(self._seen) == self._slots

    @property
    def met(self) -> bool:
        """Whether the host is to be registered."""
        return self.complete and len(self._ready) >= self._least

    @property
    def ready(self) -> int:
        """How many slots serve."""
        return len(self._ready)

    def gained(self, slot: int, /) -> None:
        """Note that a slot serves."""
        self._seen.add(slot)
        self._ready.add(slot)

    def lost(self, slot: int, /) -> None:
        """Note that a slot serves no longer."""
        self._ready.discard(slot)
