"""What a configuration counts."""

from __future__ import annotations

from kratos.clock import Clock
from kratos.metrics import Meter, NopMeter

__all__ = ["Figures"]


class Figures:
    """Counts changes, and tells when the last one was applied and how many sources are away.

    Args:
        meter: Where; ``None`` for nowhere.
        clock: Whose wall time is told.
    """

    __slots__ = ("_clock", "_last_success", "_reloads", "_stale")

    def __init__(self, meter: Meter | None, clock: Clock) -> None:
        meter = NopMeter() if meter is None else meter
        self._clock = clock
        self._reloads = meter.counter(
            "config_reload_total",
            description="Changes of the configuration, by what became of them.",
            labels=("result",),
        )
        # Of processes that each read for themselves, the oldest one is of interest.
        self._last_success = meter.gauge(
            "config_last_success_timestamp_seconds",
            description="When the configuration that is in force was loaded.",
            unit="s",
            across="min",
        )
        self._stale = meter.gauge(
            "config_stale_sources",
            description="Sources of the configuration that cannot be reached.",
            across="max",
        )

    def mute(self) -> None:
        """Count nothing from now on: another process does."""
        nowhere = Figures(None, self._clock)
        self._reloads, self._last_success = nowhere._reloads, nowhere._last_success
        self._stale = nowhere._stale

    def loaded(self) -> None:
        """Note the first state."""
        self._last_success.set(self._clock.wall())
        self._stale.set(0)

    def applied(self) -> None:
        """Note a change that is in force."""
        self._reloads.labels("applied").inc()
        self._last_success.set(self._clock.wall())

    def refused(self) -> None:
        """Note a change that is not."""
        self._reloads.labels("refused").inc()

    def stale(self, sources: int) -> None:
        """Note how many sources are away."""
        self._stale.set(sources)
