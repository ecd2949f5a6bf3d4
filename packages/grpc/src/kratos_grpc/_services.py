"""What gRPC servers serve besides the application's services: health and reflection."""

from __future__ import annotations

from kratos.transport import Dispatcher
from kratos_grpc.health import HEALTH_CHECK, HealthService
from kratos_grpc.reflection import reflection_services
from kratos_http.protocols import Served

__all__ = ["serve_health", "serve_reflection"]


def serve_health(served: Served) -> None:
    """Serve the application's table, without middleware, unless a service of that name is there."""
    health = served.mount.health
    if health is None or HEALTH_CHECK.operation in served.operations:
        return
    probes = Dispatcher(transport="grpc", timeout=None)
    probes.add(HealthService(health))
    _add(served, probes)


def serve_reflection(served: Served) -> None:
    """Serve what tells of all that is served, where no service of its name is there."""
    tools = served.guarded()
    methods = [each.method for each in served.operations.values()]
    for service in reflection_services(methods):
        if served.operations.keys().isdisjoint(method.operation for method in service.METHODS):
            tools.add(service)
    _add(served, tools)


def _add(served: Served, dispatcher: Dispatcher) -> None:
    served.operations.update(dispatcher.operations)
    served.aside.append(dispatcher)
