"""Integer time, fine enough for any rate, that never goes back."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Final

from aegis._check import above
from aegis.clock import NANOSECONDS, SYSTEM_CLOCK, Clock

__all__ = ["Ticks", "interval", "ticking"]

_FASTEST: Final = 1e12  # permits per second: an integer stays small enough to be quick
_ERROR: Final = Fraction(1, 100_000)  # the clock of a machine is not much better


def interval(rate: float) -> tuple[int, int]:
    """Return the ticks between two permits at ``rate`` per second, and the ticks in a nanosecond.

    The interval is rounded up, so that the rate is never more than was asked for, and ticks are
    so fine that it is less by a hundred-thousandth at most: nanoseconds for all rates up to 10 000
    per second and many others.

    Raises:
        ValueError: ``rate`` is not above 0 and at most 1e12.
    """
    above("rate", rate)
    if rate > _FASTEST:
        msg = f"rate must be at most {_FASTEST:g} per second, got {rate!r}"
        raise ValueError(msg)
    # By its decimal form: 0.1 means a tenth, not the binary number next to it.
    exact = NANOSECONDS / Fraction(repr(float(rate)))
    scale = 1
    while ceil(exact * scale) > exact * scale * (1 + _ERROR):
        scale *= 10
    return ceil(exact * scale), scale


class Ticks:
    """A clock in ticks, on which a step back counts as no time.

    It neither gives permits, as a limiter that took the distance for time passed would, nor takes
    them away until the clock has caught up.

    Args:
        clock: The clock in nanoseconds that may step back.
        scale: Ticks in a nanosecond.
    """

    __slots__ = ("_clock", "_last", "_lost", "_scale")

    def __init__(self, clock: Clock, scale: int) -> None:
        self._clock = clock
        self._scale = scale
        self._last = clock()
        self._lost = 0

    def __call__(self) -> int:
        """Return a reading that is never less than the one before."""
        now = self._clock()
        if now < self._last:
            self._lost += self._last - now
        self._last = now
        return (now + self._lost) * self._scale


def ticking(clock: Clock, scale: int) -> Clock:
    """Return a clock in ticks that never steps back: the one of the system, if it will do."""
    # The multiplication would cost every call a fifth, and most rates do without.
    return clock if clock is SYSTEM_CLOCK and scale == 1 else Ticks(clock, scale)
