"""What a ``Telemetry`` has between its entry and its exit."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

from kratos.app import AppInfo, app_info
from kratos.log import NO_FIELDS, Level, Logger, extract
from kratos.process import worker_slot
from kratos_otel import _current
from kratos_otel._complaints import Complaints
from kratos_otel._current import Providers
from kratos_otel._exporters import Otlp
from kratos_otel._global import become_global
from kratos_otel._pipelines import Metrics, Records, Sizes, Spans

if TYPE_CHECKING:
    from kratos_otel.telemetry import TelemetryOptions

__all__ = ["Life", "resource_of"]

_SECONDS_TO_GIVE_UP: Final = 0.5  # for what only waits before it tries again
_UNNAMED: Final = "unknown_service"

_Exporters: TypeAlias = (
    "tuple[SpanExporter | None, MetricExporter | None, LogRecordExporter | None]"
)


class _Way(Protocol):
    """A way out, as it is ended."""

    def give_up(self) -> None: ...

    def abandon(self) -> None: ...


class Life:
    """Providers with their exporters, in force from the beginning."""

    def __init__(
        self,
        options: TelemetryOptions,
        sampler: Sampler | None,
        exporters: _Exporters,
        log: Logger,
    ) -> None:
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            options = replace(options, traces=False, metrics=False, logs=False)
        otlp = Otlp(options.endpoint, headers=options.headers, timeout=options.timeout)
        sizes = Sizes(limit=options.queue, size=options.batch, delay=options.delay)
        resource = resource_of(app_info(), options.service, options.attributes)
        self._log: Final = log
        self._complaints: Final = Complaints(log, otlp.shown)
        self._stop_timeout: Final = options.stop_timeout
        self._ways: Final[list[_Way]] = []
        # First all that may fail, then what begins threads.
        span_exporter, metric_exporter, record_exporter = exporters
        spans = (span_exporter or otlp.spans()) if options.traces else None
        records = (record_exporter or otlp.records()) if options.logs else None
        measures = (metric_exporter or otlp.metrics()) if options.metrics else None
        tracing = logs = meters = None
        if spans is not None:
            processor = Spans(spans, self._complaints, sizes)
            self._ways.append(processor.way)
            tracing = TracerProvider(
                sampler=sampler or _sampler(options.sample),
                resource=resource,
                shutdown_on_exit=False,
            )
            tracing.add_span_processor(processor)
        if records is not None:
            logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
            taker = Records(records, self._complaints, sizes)
            self._ways.append(taker.way)
            logs.add_log_record_processor(taker)
        if measures is not None:
            exporter = Metrics(measures, self._complaints)
            self._ways.append(exporter)
            reader = PeriodicExportingMetricReader(
                exporter,
                export_interval_millis=options.interval * 1000,
                export_timeout_millis=options.timeout * 1000,
            )
            meters = MeterProvider(
                metric_readers=[reader], resource=resource, shutdown_on_exit=False
            )
        self._made: Final = tuple(each for each in (meters, tracing, logs) if each is not None)
        self._providers: Final = Providers(tracing=tracing, metrics=meters, logs=logs)
        if tracing is not None:
            become_global()
        _current.enter(self._providers)
        self._undo: Final = extract(_ids)

    async def flush(self, timeout: float) -> bool:
        """Send what waits now."""
        millis = int(timeout * 1000)
        flushing = [_in_thread(partial(each.force_flush, millis)) for each in self._made]
        if flushing:
            await asyncio.wait(flushing, timeout=timeout)
        return all(each.done() and not each.exception() and each.result() for each in flushing)

    async def aclose(self) -> None:
        """Send what waits, for as long as there is time, and end."""
        self._undo()
        _current.leave(self._providers)
        ending = [_in_thread(each.shutdown) for each in self._made]
        try:
            await self._wait(ending)
        finally:  # also when this is cancelled, as by the time limit of the application
            for way in self._ways:
                way.abandon()
            for each in ending:
                if each.done() and (error := each.exception()) is not None:
                    self._log.log(Level.WARN, "telemetry did not end well", {"error": error})
            self._complaints.end()

    async def _wait(self, ending: Sequence[asyncio.Future[object]]) -> None:
        if not ending:
            return
        try:
            await asyncio.wait(ending, timeout=self._stop_timeout)
        finally:
            if not all(each.done() for each in ending):
                for way in self._ways:
                    way.give_up()
        await asyncio.wait(ending, timeout=_SECONDS_TO_GIVE_UP)


def resource_of(info: AppInfo | None, service: str, attributes: Mapping[str, str]) -> Resource:
    """Return what tells of this process; what the environment says comes before its application.

    Args:
        info: Who the application is.
        service: Its name in telemetry; empty for what the environment or the application says.
        attributes: Further ones, which come before all.
    """
    told = dict(attributes)
    if service:
        told["service.name"] = service
    found = Resource.create(told)
    known = found.attributes
    own: dict[str, str | int] = {}
    slot = worker_slot()
    if info is not None:
        if info.name and str(known.get("service.name", "")).startswith(_UNNAMED):
            own["service.name"] = info.name
        if info.version and "service.version" not in known:
            own["service.version"] = info.version
        if "service.instance.id" not in {*told, *OTELResourceDetector().detect().attributes}:
            # In place of a random one. Workers may share an id, but count each for itself, and the
            # successor of one begins before that has ended.
            own["service.instance.id"] = info.id if slot is None else f"{info.id}-{os.getpid()}"
    if slot is not None:
        own["kratos.worker"] = slot
    return found.merge(Resource(own))


def _sampler(share: float | None) -> Sampler | None:
    return None if share is None else ParentBased(TraceIdRatioBased(share))


def _ids() -> Mapping[str, object]:
    """Return the ids of the current span, for records outside of calls."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return NO_FIELDS
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}


def _in_thread(work: Callable[[], object]) -> asyncio.Future[object]:
    """Run something that blocks in a thread that keeps nobody from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[object] = loop.create_future()

    def settle(result: object, error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result: object = None
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed, so nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="kratos-otel-end", daemon=True).start()
    return done
