"""OpenTelemetry's global provider of tracers, as one that goes with whatever is in force."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import NoOpTracer, NoOpTracerProvider, Span, Tracer

from kratos_otel._current import Following, Providers, follow

__all__ = ["become_global"]


class _Follower(Tracer):
    """A tracer of a library."""

    def __init__(self, *scope: Any) -> None:
        self._scope = scope
        self._tracer: Tracer = NoOpTracer()
        follow(self)

    def start_span(self, *args: Any, **options: Any) -> Span:
        """Start a span; see ``Tracer``."""
        return self._tracer.start_span(*args, **options)

    def start_as_current_span(self, *args: Any, **options: Any) -> Any:
        """Start a span that is current meanwhile; see ``Tracer``."""
        entered: AbstractContextManager[Span] = self._tracer.start_as_current_span(*args, **options)
        return entered

    def bind(self, providers: Providers, /) -> None:
        """Use these from now on."""
        provider = NoOpTracerProvider() if providers.tracing is None else providers.tracing
        self._tracer = provider.get_tracer(*self._scope)


class _Global(Following):
    """What the program finds in place of a provider of its own."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> Tracer:
        """Return a tracer; see ``TracerProvider``."""
        scope = instrumenting_library_version, schema_url, attributes
        return _Follower(instrumenting_module_name, *scope)


def become_global() -> None:
    """Let spans of libraries go where those of calls go, if the program has set no provider."""
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(_Global())
