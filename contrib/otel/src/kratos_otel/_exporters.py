"""OpenTelemetry's own exporters of OTLP, each imported where it is used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter

from kratos.errors import ConfigError, MissingDependency
from kratos.url import mask

__all__ = ["Otlp"]

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
_HTTP: Final = ("http", "https")
_GRPC: Final = {"grpc": "http", "grpcs": "https"}  # as the exporter over gRPC writes them


class Otlp:
    """Makes exporters to one place.

    Args:
        endpoint: Where to: ``http://`` or ``https://`` for OTLP over HTTP, where paths such as
            ``/v1/traces`` are added, ``grpc://`` or ``grpcs://`` for OTLP over gRPC. Empty for what
            ``OTEL_EXPORTER_OTLP_ENDPOINT`` and its like say.
        headers: Of each request; ``None`` for what the environment says.
        timeout: Seconds for a request with its repetitions; ``None`` for what the environment says.

    Attributes:
        shown: Where to, for people.

    Raises:
        ConfigError: The endpoint is no such URL, or the environment names no such protocol.
    """

    def __init__(
        self, endpoint: str, *, headers: Mapping[str, str] | None, timeout: float | None
    ) -> None:
        url = urlsplit(endpoint)
        known = url.scheme in (*_HTTP, *_GRPC) and url.hostname is not None
        if endpoint and (not known or url.query or url.fragment):
            raise ConfigError(
                "endpoint must be the URL of a collector, such as http://127.0.0.1:4318 or "
                f"grpc://127.0.0.1:4317, not {mask(endpoint)!r}"
            )
        if url.scheme in _GRPC and "@" in url.netloc:
            raise ConfigError(f"{mask(endpoint)}: gRPC has no users: pass headers")
        self._kind: Final = _kind() if not endpoint else "grpc" if url.scheme in _GRPC else "http"
        self._base: Final = endpoint.rstrip("/")
        self._options: Final[dict[str, Any]] = {}
        if headers is not None:
            self._options["headers"] = dict(headers)
        if timeout is not None:
            self._options["timeout"] = timeout
        default = "http://localhost:4318" if self._kind == "http" else "grpc://localhost:4317"
        # Without a user's name and password, which are nobody's business.
        self.shown: Final = mask(endpoint or os.environ.get(_ENDPOINT, default))

    def spans(self) -> SpanExporter:
        """Return an exporter of spans."""
        made: SpanExporter = self._made("trace_exporter", "OTLPSpanExporter", "/v1/traces")
        return made

    def metrics(self) -> MetricExporter:
        """Return an exporter of metrics."""
        made: MetricExporter = self._made("metric_exporter", "OTLPMetricExporter", "/v1/metrics")
        return made

    def records(self) -> LogRecordExporter:
        """Return an exporter of records."""
        made: LogRecordExporter = self._made("_log_exporter", "OTLPLogExporter", "/v1/logs")
        return made

    def _made(self, module: str, name: str, path: str) -> Any:
        distribution = f"opentelemetry-exporter-otlp-proto-{self._kind}"
        try:
            found = import_module(f"opentelemetry.exporter.otlp.proto.{self._kind}.{module}")
        except ModuleNotFoundError as error:
            raise MissingDependency(f"OTLP over {self._kind}", distribution) from error
        options = dict(self._options)
        if self._base:
            scheme, colon, rest = self._base.partition(":")
            options["endpoint"] = (
                self._base + path if self._kind == "http" else _GRPC[scheme] + colon + rest
            )
        if self._kind == "grpc" and "headers" in options:
            # Names of gRPC's metadata are in lower case.
            options["headers"] = tuple((k.lower(), v) for k, v in options["headers"].items())
        return getattr(found, name)(**options)


def _kind() -> str:
    protocol = os.environ.get(_PROTOCOL, "").strip().lower() or "http/protobuf"
    if protocol not in ("grpc", "http/protobuf"):
        raise ConfigError(f"{_PROTOCOL} must be grpc or http/protobuf, not {protocol!r}")
    return protocol.partition("/")[0]
