"""What the proxy tells of the requests that it answers; ``Metrics`` of the gateway listens."""

from __future__ import annotations

from typing import Final, Protocol

from kratos.metrics import Counter, NopMeter
from kratos_gateway.api.gateway_pb2 import Endpoint

__all__ = ["EndpointRecorder", "MethodRecorder", "NoMetrics", "Recorders"]


class MethodRecorder(Protocol):
    """The series of requests of one method to one endpoint."""

    @property
    def sent(self) -> Counter:
        """Bytes of the bodies of answers."""
        ...

    @property
    def received(self) -> Counter:
        """Bytes of the bodies of requests."""
        ...

    def answered(self, code: int, seconds: float, /) -> None:
        """Count a request by the status of its answer, and note what it took."""
        ...

    def retried(self, success: str, /) -> None:
        """Count a further attempt: ``true``, ``false``, ``cancelled``, or what refused it."""
        ...


class EndpointRecorder(Protocol):
    """The series of one endpoint."""

    def of(self, method: str, /) -> MethodRecorder:
        """Return those of a method."""
        ...

    def redirected(self) -> None:
        """Count an answer of a back end that leads elsewhere."""
        ...


class Recorders(Protocol):
    """Makes the series of endpoints; asked when a configuration is applied."""

    def endpoint(self, endpoint: Endpoint, /) -> EndpointRecorder:
        """Return the series of an endpoint."""
        ...

    def nowhere(self, path: str, /) -> EndpointRecorder:
        """Return those of requests that lead to no endpoint: ``/404``, ``/405``, ``/400``."""
        ...


_COUNTER: Final = NopMeter().counter("nothing")


class NoMetrics:
    """Forgets everything; all three in one."""

    sent: Counter = _COUNTER
    received: Counter = _COUNTER

    def endpoint(self, endpoint: Endpoint, /) -> NoMetrics:
        """Return itself."""
        return self

    def nowhere(self, path: str, /) -> NoMetrics:
        """Return itself."""
        return self

    def of(self, method: str, /) -> NoMetrics:
        """Return itself."""
        return self

    def redirected(self) -> None:
        """Forget it."""

    def answered(self, code: int, seconds: float, /) -> None:
        """Forget it."""

    def retried(self, success: str, /) -> None:
        """Forget it."""
