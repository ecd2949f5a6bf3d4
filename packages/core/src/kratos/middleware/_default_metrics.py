"""Calls are counted once there is a meter, unless a program says itself where they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, runtime_checkable

from kratos.log import Level, Logger
from kratos.metrics import Meter
from kratos.middleware.metrics import metrics
from kratos.middleware.tracing import is_tracing
from kratos.transport.chain import AnyMiddleware, Middleware, PerMethod
from kratos.transport.method import Method

__all__ = ["CountsCalls", "DefaultMetrics", "counts_calls"]


@runtime_checkable
class CountsCalls(Protocol):
    """A middleware that knows whether it counts calls, or one inside of it does."""

    @property
    def counts_calls(self) -> bool:
        """Whether it does, be it those of some operations only."""
        ...


def counts_calls(element: object) -> bool:
    """Tell whether a middleware of a chain counts calls, so that the default one does not."""
    return (
        isinstance(element, CountsCalls) and not isinstance(element, type) and element.counts_calls
    )


class DefaultMetrics:
    """``metrics()`` in the chains that have none; see ``App(count_calls=...)``.

    It stands outermost, so that it sees what is refused further in; but behind a ``tracing()`` that
    is outermost, so that calls leave their traces as exemplars.

    Args:
        meter: Makes the instruments.
        log: Where it is told that the meter refuses them: nobody has asked for these, and whose own
            metrics have their names shall start none the less.
    """

    def __init__(self, meter: Meter, *, log: Logger) -> None:
        self._metrics: Final[PerMethod] = metrics(meter)
        self._log: Final = log
        self._refused = False

    def place_in(self, chain: Sequence[AnyMiddleware], /) -> int | None:
        """Return where it stands; see ``ByDefault``."""
        if any(map(counts_calls, chain)):
            return None
        return 1 if chain and is_tracing(chain[0]) else 0

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        """Return what counts the calls of a method; see ``PerMethod``."""
        try:
            return self._metrics.bind(method)
        except ValueError as error:
            if not self._refused:
                self._log.log(
                    Level.WARN,
                    "calls are not counted: rename your own metric, or say App(count_calls=False)",
                    {"error": error},
                )
            self._refused = True
            return None
