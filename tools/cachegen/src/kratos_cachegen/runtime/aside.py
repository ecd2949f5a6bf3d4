"""What all generated classes have in common."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.metrics import Counter, Meter, NopMeter
from kratos.options import require_count, require_number
from kratos_cachegen.runtime.fanout import Fanout, Job

__all__ = ["Aside", "AsideOptions", "Counters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Counters of caches, each by the name of a method."""

    hits: Counter
    misses: Counter
    joined: Counter
    stale: Counter
    dropped: Counter
    errors: Counter

    @classmethod
    def of(cls, meter: Meter) -> Self:
        """Make them."""

        def counter(name: str, description: str, *labels: str) -> Counter:
            return meter.counter(
                f"cache_{name}_total", description=description, labels=("name", *labels)
            )

        return cls(
            hits=counter("hits", "Values that were in the cache."),
            misses=counter("misses", "Values that had to be loaded."),
            joined=counter("joined", "Values that another caller was loading already."),
            stale=counter("stale", "Hits that were past their time, and are loaded anew."),
            dropped=counter("dropped", "Writes and renewals for which there was no room."),
            errors=counter("errors", "Failures of the cache or of a renewal.", "operation"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideOptions:
    """How caches of one class work.

    Args:
        prefix: What all keys begin with.
        meter: Makes the counters ``cache_hits_total`` and so on; ``None`` for none.
        clock: Time.
        random: Gives numbers of [0, 1), for jitter.
        workers: Most writes and renewals at the same time that nobody waits for.
        waiting: Most of these that wait; more are dropped, and counted.
        patience: Seconds that ``aclose`` lets them take.

    Raises:
        ConfigError: A number is out of its range.
    """

    prefix: str = ""
    meter: Meter | None = None
    clock: Clock = SYSTEM_CLOCK
    random: Callable[[], float] = random.random
    workers: int = 4
    waiting: int = 1024
    patience: float = 5.0

    def __post_init__(self) -> None:
        require_count("workers", self.workers)
        require_count("waiting", self.waiting)
        require_number("patience", self.patience, least=0)


class Aside:
    """A cache beside a source: base of generated classes.

    Close it when the application ends, before its stores: ``App(resources=[articles])``. Use it
    from one event loop.

    Args:
        options: How it works.
    """

    def __init__(self, *, options: AsideOptions | None = None) -> None:
        super().__init__()
        options = options or AsideOptions()
        self.options = options
        self.counters = Counters.of(NopMeter() if options.meter is None else options.meter)
        self._fanout = Fanout(workers=options.workers, capacity=options.waiting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def drain(self) -> None:
        """Wait until what nobody waits for is written."""
        await self._fanout.drain()

    async def aclose(self) -> None:
        """Write what is to be written, within the patience of the options; idempotent.

        Afterwards nothing is written that nobody waits for. The stores stay open.
        """
        cut = await self._fanout.aclose(self.options.patience)
        if cut:
            self.counters.dropped.labels("aclose").inc(cut)

    def later(self, job: Job, dropped: Callable[[], None]) -> bool:
        """Let a job run that nobody waits for, and tell whether it may; for ``Flow``.

        Args:
            job: What to do.
            dropped: Called if there was no time for it in the end.
        """
        return self._fanout.put(job, dropped)
