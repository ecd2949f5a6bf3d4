"""Whose providers are in force for what was not given any: a ``Telemetry``'s, else the global ones.

OpenTelemetry's own global providers can be set once in a process and never again, so a second
application of a process, as tests have them, would be without. What is entered here may leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol
from weakref import WeakSet

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, get_logger_provider
from opentelemetry.metrics import MeterProvider, get_meter_provider
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

__all__ = ["Following", "Providers", "enter", "follow", "leave"]


class Following(TracerProvider):
    """A global provider that goes with what is in force here."""


@dataclass(frozen=True, slots=True, eq=False)
class Providers:
    """What makes tracers, meters and loggers.

    Attributes:
        tracing: The one for spans; OpenTelemetry's global one if ``None``.
        metrics: The one for metrics; OpenTelemetry's global one if ``None``.
        logs: The one for records; OpenTelemetry's global one if ``None``.
    """

    tracing: TracerProvider | None = None
    metrics: MeterProvider | None = None
    logs: LoggerProvider | None = None

    def tracer_provider(self) -> TracerProvider:
        """Return the provider of tracers."""
        if self.tracing is not None:
            return self.tracing
        provider = trace.get_tracer_provider()
        # The one that only goes with what is in force has nothing of its own.
        return NoOpTracerProvider() if isinstance(provider, Following) else provider

    def meter_provider(self) -> MeterProvider:
        """Return the provider of meters."""
        return get_meter_provider() if self.metrics is None else self.metrics

    def logger_provider(self) -> LoggerProvider:
        """Return the provider of loggers."""
        return get_logger_provider() if self.logs is None else self.logs


class Follower(Protocol):
    """What goes with the providers in force."""

    def bind(self, providers: Providers, /) -> None:
        """Use these from now on."""
        ...


_GLOBAL: Final = Providers()
_entered: Final[list[Providers]] = []
_followers: Final[WeakSet[Follower]] = WeakSet()


def follow(follower: Follower, /) -> None:
    """Bind something to the providers in force, now and whenever others are.

    It is not kept alive by this.
    """
    _followers.add(follower)
    follower.bind(_in_force())


def enter(providers: Providers, /) -> None:
    """Put providers in force, until they leave or others enter."""
    _entered.append(providers)
    _tell()


def leave(providers: Providers, /) -> None:
    """Take providers out of force; those that were there before them are so again."""
    _entered.remove(providers)
    _tell()


def _in_force() -> Providers:
    return _entered[-1] if _entered else _GLOBAL


def _tell() -> None:
    providers = _in_force()
    for follower in tuple(_followers):
        follower.bind(providers)
