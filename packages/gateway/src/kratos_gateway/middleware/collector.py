"""Where spans go if the options of ``tracing`` name a collector: to it, by OTLP over HTTP.

Go has one provider in a process, of the first configuration. Here there is one for each place and
way, which all who ask for the same share; it ends, after what waits was sent, when the last one
gives it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Final, NamedTuple

from kratos.errors import ConfigError, MissingDependency
from kratos.offload import offload
from kratos.tracing import Tracer
from kratos_gateway.api.tracing_pb2 import Tracing
from kratos_gateway.middleware.options import seconds_of

__all__ = ["Collector"]

_PATH: Final = "/v1/traces"
_TIMEOUT: Final = 10.0  # seconds
_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http"


class Way(NamedTuple):
    """Where to, and how."""

    url: str
    sample: float
    timeout: float


@dataclass(slots=True)
class _Shared:
    """What several use."""

    provider: Any
    tracer: Tracer
    users: int = 0


class Collector:
    """A share in the spans' way to a collector.

    Attributes:
        tracer: Makes spans that go there.
    """

    _used: ClassVar[dict[Way, _Shared]] = {}  # of the process, as exporters are

    def __init__(self, way: Way) -> None:
        self._way: Final = way
        shared = self._used.get(way)
        if shared is None:
            shared = self._used[way] = _opened(way)
        shared.users += 1
        self.tracer: Final = shared.tracer

    @classmethod
    def of(cls, told: Tracing, /) -> Collector | None:
        """Return the collector that options name; ``None`` for none.

        Raises:
            ConfigError: An option is out of its range.
            MissingDependency: OpenTelemetry is not installed.
        """
        if not told.WhichOneof("endpoint"):
            return None
        way = _way(told)
        if find_spec("kratos_otel") is None or not _has_exporter():
            raise MissingDependency("tracing to a collector", "kratos-otel[http]")
        return cls(way)

    async def aclose(self) -> None:
        """Give the share back, once; the last one waits until spans that have ended are sent.

        Cancellation: they are sent nevertheless.
        """
        shared = self._used[self._way]
        shared.users -= 1
        if not shared.users:
            del self._used[self._way]
            await offload(shared.provider.shutdown)


def _way(told: Tracing) -> Way:
    sample = told.sample_ratio if told.HasField("sample_ratio") else 1.0
    if not 0 <= sample <= 1:
        raise ConfigError(f"sampleRatio must be from 0 to 1, not {sample:g}")
    timeout = seconds_of(told.timeout, name="timeout") or _TIMEOUT
    if told.WhichOneof("endpoint") == "http_endpoint_url":
        url = told.http_endpoint_url
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"httpEndpointUrl must be a URL of http or https, not {url!r}")
        return Way(url, sample, timeout)
    place = told.http_endpoint
    if not place or "/" in place:
        raise ConfigError(f"httpEndpoint is host:port, not {place!r}; a URL is httpEndpointUrl")
    insecure = told.insecure if told.HasField("insecure") else _is_local(place)
    scheme = "http" if insecure else "https"
    return Way(f"{scheme}://{place}{_PATH}", sample, timeout)


def _is_local(place: str) -> bool:
    host = place.rpartition(":")[0] or place
    return host in ("localhost", "127.0.0.1", "[::1]")


def _has_exporter() -> bool:
    try:
        return find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:
        return False


def _opened(way: Way) -> _Shared:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    from kratos_otel import OtelTracer

    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(way.sample),
        resource=Resource.create({"service.name": "gateway"}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=way.url, timeout=way.timeout)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return _Shared(provider, OtelTracer(provider))
