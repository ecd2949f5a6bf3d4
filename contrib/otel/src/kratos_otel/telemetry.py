"""One resource of an application that sends its telemetry by OTLP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from kratos.errors import ConfigError
from kratos.log import LineLogger, Logger

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.sdk.trace.sampling import Sampler

    from kratos.config import Config
    from kratos_otel._life import Life

__all__ = ["Telemetry", "TelemetryOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryOptions:
    """What a configuration may say of ``Telemetry``, where it is described."""

    endpoint: str = ""
    traces: bool = True
    metrics: bool = True
    logs: bool = True
    service: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    sample: float | None = None
    interval: float = 60.0
    delay: float = 1.0
    queue: int = 2048
    batch: int = 512
    timeout: float = 10.0
    stop_timeout: float = 5.0

    def __post_init__(self) -> None:
        for name in ("interval", "delay", "timeout", "stop_timeout"):
            seconds: float = getattr(self, name)
            if not (math.isfinite(seconds) and seconds > 0):
                raise ConfigError(f"{name} must be a positive number of seconds, not {seconds!r}")
        if not 1 <= self.batch <= self.queue:
            raise ConfigError(
                f"batch must be at least 1 and no more than queue, not {self.batch} of {self.queue}"
            )
        if self.sample is not None and not 0 <= self.sample <= 1:
            raise ConfigError(f"sample must be a share from 0 to 1, not {self.sample!r}")


class Telemetry:
    """Sends spans, metrics and records of this process by OTLP, from its entry to its exit.

        App(..., middleware=[tracing(), metrics()], resources=[Telemetry("http://127.0.0.1:4318")])

    In force for tracers, meters and loggers of this package that were given no provider, which
    includes those that Kratos finds by itself; and for spans of libraries that use OpenTelemetry,
    where the program has set no global provider. Threads begin with the entry: with workers in each
    worker, and in the supervisor none. What is exported never blocks a call, nor the event loop:
    when too much waits, it is dropped and counted. A collector that takes nothing is told of in
    one line, and so is one that takes it again.

    On exit what waits is sent, for at most ``stop_timeout`` seconds; a line tells what was lost.

    Args:
        endpoint: Where to: ``http://`` and ``https://`` for OTLP over HTTP, to ``/v1/traces`` and
            its like, ``grpc://`` and ``grpcs://`` for OTLP over gRPC. Empty for what the
            environment says (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``..._PROTOCOL``), else
            ``http://localhost:4318``.
        traces: Whether spans are sent.
        metrics: Whether metrics are sent.
        logs: Whether records of ``OtelLogger`` are sent.
        service: ``service.name``; by default what the environment says, else the name of the
            application.
        attributes: Further ones of the resource, that is of this process.
        headers: Of each request, for instance for authorization; by default what the environment
            says.
        sample: Share of traces that are recorded, from 0 to 1, of those that begin here: else the
            caller decides. By default what ``OTEL_TRACES_SAMPLER`` says, else all.
        sampler: A sampler of OpenTelemetry, in place of ``sample``.
        interval: Seconds between two exports of metrics.
        delay: Seconds for which spans and records wait for others.
        queue: Spans and records that may wait, of each kind.
        batch: The most of them in one request.
        timeout: Seconds for a request with its repetitions.
        stop_timeout: Seconds for what waits on exit.
        span_exporter: Takes spans in place of OTLP.
        metric_exporter: Takes metrics in place of OTLP.
        record_exporter: Takes records in place of OTLP.
        log: Where lines about the collector go; lines on standard error by default.

    Raises:
        ConfigError: An option is wrong; the text names it.
    """

    def __init__(
        self,
        endpoint: str = "",
        *,
        traces: bool = True,
        metrics: bool = True,
        logs: bool = True,
        service: str = "",
        attributes: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        sample: float | None = None,
        sampler: Sampler | None = None,
        interval: float = 60.0,
        delay: float = 1.0,
        queue: int = 2048,
        batch: int = 512,
        timeout: float = 10.0,
        stop_timeout: float = 5.0,
        span_exporter: SpanExporter | None = None,
        metric_exporter: MetricExporter | None = None,
        record_exporter: LogRecordExporter | None = None,
        log: Logger | None = None,
    ) -> None:
        self._options = TelemetryOptions(
            endpoint=endpoint,
            traces=traces,
            metrics=metrics,
            logs=logs,
            service=service,
            attributes={} if attributes is None else attributes,
            headers=headers,
            sample=sample,
            interval=interval,
            delay=delay,
            queue=queue,
            batch=batch,
            timeout=timeout,
            stop_timeout=stop_timeout,
        )
        self._config: tuple[Config, str] | None = None
        self._sampler: Final = sampler
        self._exporters: Final = (span_exporter, metric_exporter, record_exporter)
        self._log: Final = LineLogger() if log is None else log
        self._life: Life | None = None

    @classmethod
    def from_config(
        cls,
        config: Config,
        *,
        key: str = "telemetry",
        sampler: Sampler | None = None,
        log: Logger | None = None,
    ) -> Telemetry:
        """Return one whose options a part of a configuration says when it is entered.

        An application loads its configuration before it enters its resources.

        Args:
            config: Loaded when this is entered.
            key: Dotted key of the part, with options of ``Telemetry`` that are texts, numbers and
                the like; where there is no such part, all are as by default.
            sampler: As of ``Telemetry``.
            log: As of ``Telemetry``.
        """
        made = cls(sampler=sampler, log=log)
        made._config = config, key
        return made

    async def __aenter__(self) -> Self:
        """Begin to send.

        Raises:
            ConfigError: The configuration asks for what there is not.
            MissingDependency: The exporter of the protocol is not installed.
            RuntimeError: It is entered already.
        """
        if self._life is not None:
            raise RuntimeError("a Telemetry is entered once at a time")
        options = self._options
        if self._config is not None:
            config, key = self._config
            if key in config.snapshot:
                options = config.scan(TelemetryOptions, key=key, strict=True)
        # The SDK is loaded where it is used: a supervisor of workers, for one, does without.
        from kratos_otel._life import Life

        self._life = Life(options, self._sampler, self._exporters, self._log)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send what waits, and end.

        Cancellation: what waits is lost, and a line tells how much.
        """
        life, self._life = self._life, None
        if life is not None:
            await life.aclose()

    async def flush(self, timeout: float = 5.0) -> bool:
        """Send what waits now; tell whether it was sent within ``timeout`` seconds.

        Outside of entry and exit there is nothing to send.

        Cancellation: safe; it is sent nevertheless.
        """
        return True if self._life is None else await self._life.flush(timeout)
