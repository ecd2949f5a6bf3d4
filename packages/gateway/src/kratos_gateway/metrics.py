"""What the gateway counts, under the names of Go's gateway."""

from __future__ import annotations

from typing import Final

from kratos.metrics import Counter, Meter, NopMeter, Observer
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.gateway_pb2 import Protocol as WireProtocol

__all__ = ["EndpointMetrics", "MethodMetrics", "Metrics"]

_ENDPOINT: Final = ("protocol", "method", "path", "service", "basePath")
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_OTHER: Final = "OTHER"
_NOTHING: Final = NopMeter()
_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
)


class Metrics:
    """All counters of a gateway.

    Args:
        meter: Makes them; ``None`` to count nothing.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        meter = NopMeter() if meter is None else meter
        self._requests = meter.counter(
            "go_gateway_requests_code_total",
            description="Requests by the status of their answer.",
            labels=("protocol", "method", "path", "code", "service", "basePath"),
        )
        self._durations = meter.histogram(
            "go_gateway_requests_duration_seconds",
            description="Time from the head of a request to the end of its answer.",
            unit="s",
            labels=_ENDPOINT,
            buckets=_BUCKETS,
        )
        self._sent = meter.counter(
            "go_gateway_requests_tx_bytes",
            description="Bytes of the bodies of answers.",
            labels=_ENDPOINT,
        )
        self._received = meter.counter(
            "go_gateway_requests_rx_bytes",
            description="Bytes of the bodies of requests.",
            labels=_ENDPOINT,
        )
        self._retries = meter.counter(
            "go_gateway_requests_retry_state",
            description="Further attempts by their success, and those that were refused.",
            labels=(*_ENDPOINT, "success"),
        )
        self._redirects = meter.counter(
            "go_gateway_client_redirect_total",
            description="Answers of back ends that lead elsewhere.",
            labels=_ENDPOINT,
        )
        self._denied = meter.counter(
            "go_gateway_requests_circuit_breaker_denied_total",
            description="Requests that a circuit breaker refused.",
            labels=_ENDPOINT,
        )
        self._failed_middleware = meter.counter(
            "go_gateway_failed_middleware_create",
            description="Middleware that could not be made.",
            labels=("name", "required"),
        )
        self._reloads = meter.counter(
            "kratos_gateway_reloads_total",
            description="Changes of the configuration, by whether they are in force.",
            labels=("success",),
        )

    def endpoint(self, endpoint: Endpoint, /) -> EndpointMetrics:
        """Return what is counted of an endpoint."""
        place = (endpoint.metadata.get(key, "") for key in ("service", "basePath"))
        protocol = WireProtocol.Name(endpoint.protocol)
        return EndpointMetrics(self, (protocol, endpoint.method, endpoint.path, *place))

    def nowhere(self, path: str, /) -> EndpointMetrics:
        """Return what is counted of requests that lead to no endpoint: their number, as by Go.

        Args:
            path: ``/404``, or ``/405`` where another method would lead to one.
        """
        return EndpointMetrics(self, ("HTTP", "", path, "", ""), number_only=True)

    def failed_middleware(self, name: str, *, required: bool) -> None:
        """Count middleware that could not be made."""
        self._failed_middleware.labels(name, str(required).lower()).inc()

    def reloaded(self, *, success: bool) -> None:
        """Count a change of the configuration."""
        self._reloads.labels(str(success).lower()).inc()

    def of_method(self, labels: tuple[str, ...], /, *, number_only: bool) -> MethodMetrics:
        """Return the counters of one method of an endpoint (for ``EndpointMetrics``)."""
        if number_only:
            counter = _NOTHING.counter("nothing")
            return MethodMetrics(
                labels,
                requests=self._requests,
                retries=counter,
                durations=_NOTHING.histogram("nothing"),
                sent=counter,
                received=counter,
            )
        return MethodMetrics(
            labels,
            requests=self._requests,
            retries=self._retries,
            durations=self._durations.labels(*labels),
            sent=self._sent.labels(*labels),
            received=self._received.labels(*labels),
        )

    def redirected(self, labels: tuple[str, ...], /) -> None:
        """Count an answer that leads elsewhere (for ``EndpointMetrics``)."""
        self._redirects.labels(*labels).inc()

    def denied(self, labels: tuple[str, ...], /) -> None:
        """Count a refusal of a circuit breaker (for ``EndpointMetrics``)."""
        self._denied.labels(*labels).inc()


class EndpointMetrics:
    """What is counted of one endpoint.

    Args:
        metrics: All counters.
        labels: Of the endpoint, with its own method.
        number_only: Whether nothing but the number of requests is counted.
    """

    def __init__(
        self, metrics: Metrics, labels: tuple[str, ...], *, number_only: bool = False
    ) -> None:
        self._number_only = number_only
        self._metrics = metrics
        self._labels = labels
        self._methods: dict[str, MethodMetrics] = {}

    def of(self, method: str, /) -> MethodMetrics:
        """Return the counters for requests of a method; those of methods unknown to HTTP are one.

        Clients choose methods as they like: each would else be a series for good.
        """
        name = method if method in _METHODS else _OTHER
        found = self._methods.get(name)
        if found is None:
            protocol, _, *rest = self._labels
            found = self._methods[name] = self._metrics.of_method(
                (protocol, name, *rest), number_only=self._number_only
            )
        return found

    def redirected(self) -> None:
        """Count an answer that leads elsewhere; by the method of the endpoint, as Go does."""
        self._metrics.redirected(self._labels)

    def denied(self) -> None:
        """Count a refusal of a circuit breaker; by the method of the endpoint, as Go does."""
        self._metrics.denied(self._labels)


class MethodMetrics:
    """Counters for requests of one method to one endpoint, bound to their labels.

    Attributes:
        sent: Told bytes of the bodies of answers.
        received: Told bytes of the bodies of requests.
    """

    __slots__ = ("_codes", "_durations", "_labels", "_requests", "_retries", "received", "sent")

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        requests: Counter,
        retries: Counter,
        durations: Observer,
        sent: Counter,
        received: Counter,
    ) -> None:
        self.sent = sent
        self.received = received
        self._durations = durations
        self._requests = requests
        self._retries = retries
        self._labels = labels
        self._codes: dict[int, Counter] = {}

    def answered(self, code: int, seconds: float, /) -> None:
        """Count a request.

        Args:
            code: Status of its answer.
            seconds: From its head to the end of its answer.
        """
        counter = self._codes.get(code)
        if counter is None:
            protocol, method, path, *place = self._labels
            counter = self._requests.labels(protocol, method, path, str(code), *place)
            self._codes[code] = counter
        counter.inc()
        self._durations.observe(seconds)

    def retried(self, success: str, /) -> None:
        """Count a further attempt.

        Args:
            success: ``true``, ``false``, ``cancelled`` for one that another was faster than, or
                ``breaker`` or ``budget`` for one that these refused.
        """
        self._retries.labels(*self._labels, success).inc()
