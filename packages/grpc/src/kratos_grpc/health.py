"""Health of the application as ``grpc.health.v1.Health``, from the same table as HTTP probes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Final

from kratos.client import HealthCheck, asking
from kratos.errors import Error
from kratos.health import Health, Kind, Status
from kratos.transport import Arity, Method, Service
from kratos_grpc.health_pb2 import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)

__all__ = ["HEALTH_CHECK", "HEALTH_LIST", "HEALTH_WATCH", "HealthService", "health_check"]

HEALTH_CHECK: Final = Method(
    operation="/grpc.health.v1.Health/Check",
    name="check",
    arity=Arity.UNARY,
    request=HealthCheckRequest,
    reply=HealthCheckResponse,
    idempotent=True,
)
HEALTH_LIST: Final = Method(
    operation="/grpc.health.v1.Health/List",
    name="list",
    arity=Arity.UNARY,
    request=HealthListRequest,
    reply=HealthListResponse,
    idempotent=True,
)
HEALTH_WATCH: Final = Method(
    operation="/grpc.health.v1.Health/Watch",
    name="watch",
    arity=Arity.SERVER_STREAM,
    request=HealthCheckRequest,
    reply=HealthCheckResponse,
    idempotent=True,
)


def health_check(service: str = "", *, timeout: float = 1.0) -> HealthCheck:
    """Make a client's check of ``grpc.health.v1.Health``, which servers in any language have.

    Args:
        service: Full name of the service asked about; empty for the whole server.
        timeout: Seconds that a node has for its answer.
    """
    return asking(
        HEALTH_CHECK,
        HealthCheckRequest(service=service),
        healthy=lambda reply: reply.status == HealthCheckResponse.SERVING,
        timeout=timeout,
    )


class HealthService(Service):
    """Answers probes; an empty name stands for the whole application.

    ``GrpcServer`` serves it by itself. Probes run the checks of readiness whose results are
    too old, and never those of liveness.

    Args:
        health: The application's table.
    """

    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (HEALTH_CHECK, HEALTH_LIST, HEALTH_WATCH)

    def __init__(self, health: Health) -> None:
        self._health = health

    async def check(self, request: HealthCheckRequest, /) -> HealthCheckResponse:
        """Return the status of a service now.

        Raises:
            Error: 404: the name is unknown.
        """
        await self._health.report(Kind.READY)
        status = self._health.status(request.service)
        if status is None:
            raise Error(404, "UNKNOWN_SERVICE", f"unknown service {request.service!r}")
        return _response(status)

    async def list(self, _request: HealthListRequest, /) -> HealthListResponse:
        """Return the status of every service."""
        await self._health.report(Kind.READY)
        statuses = {name: self._health.status(name) for name in self._health.services}
        return HealthListResponse(
            statuses={name: _response(status) for name, status in statuses.items()}
        )

    async def watch(self, request: HealthCheckRequest, /) -> AsyncIterator[HealthCheckResponse]:
        """Send the status of a service now and whenever it changes, also while it is unknown.

        A watcher that is slow misses what was true in between, never what is true now.
        """
        changed = asyncio.Event()
        present: list[Status | None] = [None]

        def note(status: Status | None) -> None:
            present[0] = status
            changed.set()

        unsubscribe = self._health.subscribe(request.service, note)
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield _response(present[0])
        finally:
            unsubscribe()


_STATUSES: Final = {
    None: HealthCheckResponse.SERVICE_UNKNOWN,
    Status.UNKNOWN: HealthCheckResponse.UNKNOWN,
    Status.SERVING: HealthCheckResponse.SERVING,
    Status.NOT_SERVING: HealthCheckResponse.NOT_SERVING,
}


def _response(status: Status | None) -> HealthCheckResponse:
    return HealthCheckResponse(status=_STATUSES[status])
