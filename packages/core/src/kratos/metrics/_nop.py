"""Instruments that cost next to nothing and keep nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kratos.metrics._interface import Across, Counter, Gauge, Observer

__all__ = ["NopMeter"]


class _NopInstrument:
    """All three instruments at once; there is only one of it."""

    __slots__ = ()

    def labels(self, *values: str) -> _NopInstrument:
        return self

    def inc(self, amount: float = 1.0, /) -> None:
        pass

    def set(self, value: float, /) -> None:
        pass

    def add(self, amount: float, /) -> None:
        pass

    def observe(self, value: float, /) -> None:
        pass


_NOP: Final = _NopInstrument()


class NopMeter:
    """A meter whose instruments drop everything."""

    __slots__ = ()

    def counter(
        self, name: str, *, description: str = "", unit: str = "", labels: Sequence[str] = ()
    ) -> Counter:
        """Return an instrument that drops everything."""
        return _NOP

    def gauge(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        across: Across = "each",
    ) -> Gauge:
        """Return an instrument that drops everything."""
        return _NOP

    def histogram(
        self,
        name: str,
        *,
        description: str = "",
        unit: str = "",
        labels: Sequence[str] = (),
        buckets: Sequence[float] = (),
    ) -> Observer:
        """Return an instrument that drops everything."""
        return _NOP
