"""From OpenTelemetry's SDK to its exporters: a pipeline for each kind of telemetry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from kratos_otel._batches import Batches
from kratos_otel._complaints import Complaints

__all__ = ["Metrics", "Records", "Sizes", "Spans"]

T = TypeVar("T")

# What instruments HTTP clients makes no spans of what sends spans.
_SUPPRESS: Final[str] = getattr(contexts, "_SUPPRESS_INSTRUMENTATION_KEY", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many may wait, and how they are sent; as of ``Batches``."""

    limit: int
    size: int
    delay: float


class _Way(Generic[T]):
    """Batches on their way to an exporter.

    Args:
        what: What they are of.
        export: Sends a batch, and tells whether it was taken.
        shutdown: Ends the exporter.
        complaints: Where its failures go.
        sizes: Of the batches.
    """

    def __init__(
        self,
        what: str,
        export: Callable[[Sequence[T]], bool],
        shutdown: Callable[[], object],
        complaints: Complaints,
        sizes: Sizes,
    ) -> None:
        self._what: Final = what
        self._export: Final = export
        self._shutdown: Final = shutdown
        self._complaints: Final = complaints
        self._lock: Final = threading.Lock()
        self._over = False
        self._batches: Final[Batches[T]] = Batches(
            self._send,
            lambda count: complaints.lose(what, count),
            limit=sizes.limit,
            size=sizes.size,
            delay=sizes.delay,
            name=f"kratos-otel-{what}",
        )
        self.put: Final = self._batches.put

    def flush(self, timeout_millis: float) -> bool:
        """Wait until all so far are sent."""
        return self._batches.flush(timeout_millis / 1000)

    def close(self) -> None:
        """Send what waits, and end the exporter."""
        self._batches.close()
        self._end()

    def give_up(self) -> None:
        """Let ``close`` return, as there is no more time."""
        self._batches.give_up()
        self._end()

    def abandon(self) -> None:
        """Count as lost what is still under way."""
        self._complaints.lose(self._what, self._batches.under_way)

    def _end(self) -> None:
        with self._lock:
            over, self._over = self._over, True
        if not over:  # they complain when it is said to them twice
            self._shutdown()

    def _send(self, batch: Sequence[T]) -> None:
        token = contexts.attach(contexts.set_value(_SUPPRESS, True))
        try:
            self._complaints.attempt(self._what, len(batch), lambda: self._export(batch))
        finally:
            contexts.detach(token)


class Spans(SpanProcessor):
    """Sends spans that have ended, if they are sampled."""

    def __init__(self, exporter: SpanExporter, complaints: Complaints, sizes: Sizes) -> None:
        def export(spans: Sequence[ReadableSpan]) -> bool:
            return exporter.export(spans) is SpanExportResult.SUCCESS

        complaints.listen(exporter)
        self.way: Final = _Way("spans", export, exporter.shutdown, complaints, sizes)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span."""
        context = span.context
        if context is not None and context.trace_flags.sampled:
            self.way.put(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all so far are sent."""
        return self.way.flush(timeout_millis)

    def shutdown(self) -> None:
        """Send what waits."""
        self.way.close()


class Records(LogRecordProcessor):
    """Sends records."""

    def __init__(self, exporter: LogRecordExporter, complaints: Complaints, sizes: Sizes) -> None:
        def export(records: Sequence[ReadableLogRecord]) -> bool:
            return exporter.export(records) is LogRecordExportResult.SUCCESS

        complaints.listen(exporter)
        shutdown: Callable[[], object] = exporter.shutdown
        self.way: Final = _Way("records", export, shutdown, complaints, sizes)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Take a record."""
        made = ReadableLogRecord(
            log_record=log_record.log_record,
            resource=log_record.resource,  # type: ignore[arg-type]  # it is what the logger has
            instrumentation_scope=log_record.instrumentation_scope,
            limits=log_record.limits,
        )
        self.way.put(made)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until all so far are sent."""
        return self.way.flush(timeout_millis)

    def shutdown(self) -> None:
        """Send what waits."""
        self.way.close()


class Metrics(MetricExporter):
    """Hands metrics to an exporter."""

    def __init__(self, exporter: MetricExporter, complaints: Complaints) -> None:
        super().__init__(
            preferred_temporality=getattr(exporter, "_preferred_temporality", None),
            preferred_aggregation=getattr(exporter, "_preferred_aggregation", None),
        )
        complaints.listen(exporter)
        untyped: Any = exporter  # its further arguments are
        self._send: Final[Callable[..., MetricExportResult]] = untyped.export
        self._flush: Final = exporter.force_flush
        self._shut: Final[Callable[..., None]] = untyped.shutdown
        self._complaints: Final = complaints
        self._lock: Final = threading.Lock()
        self._over = False

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send what was collected."""

        def export() -> bool:
            result = self._send(metrics_data, timeout_millis=timeout_millis, **kwargs)
            return result is MetricExportResult.SUCCESS

        # What is not taken is not lost: the next ones say how far counters have come meanwhile.
        taken = self._complaints.attempt("metrics", 0, export)
        return MetricExportResult.SUCCESS if taken else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Wait until what was collected is sent."""
        return self._flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """End the exporter."""
        with self._lock:
            over, self._over = self._over, True
        if not over:  # they complain when it is said to them twice
            self._shut(timeout_millis, **kwargs)

    def give_up(self) -> None:
        """Let what is under way fail, as there is no more time."""
        self.shutdown()

    def abandon(self) -> None:
        """Do nothing: what is not taken of metrics is not lost."""
