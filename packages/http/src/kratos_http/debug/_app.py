"""The application around a listener: who it is, how it is, and what it serves."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from importlib.metadata import distributions
from typing import Any

from kratos.app import App
from kratos.health import Health, Kind
from kratos.process import worker_slot
from kratos.transport import Method
from kratos_http.router import Route
from kratos_http.server import HttpServer

__all__ = ["about", "health_of", "routes_of"]


def about(app: App | None, *, since: float) -> dict[str, Any]:
    """Return who the application is.

    Args:
        app: The application; ``None`` outside of one.
        since: Loop time at which the listener started.
    """
    loop = asyncio.get_running_loop()
    found: dict[str, Any] = {
        "pid": os.getpid(),
        "worker": worker_slot(),
        "up": round(loop.time() - since, 3),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "loop": f"{type(loop).__module__}.{type(loop).__qualname__}",
        "distributions": _distributions(),
    }
    if app is None:
        return found
    status = app.registration
    registration = None
    if status is not None:
        registration = {
            "state": status.state.value,
            "age": round(status.age, 3),
            "failures": status.failures,
            "last_error": None if status.last_error is None else type(status.last_error).__name__,
        }
    return {
        "id": app.id,
        "name": app.name,
        "version": app.version,
        "metadata": dict(app.metadata),
        "endpoints": app.endpoints,
        "registration": registration,
        **found,
    }


def _distributions() -> dict[str, str]:
    found = {each.name.lower(): each.version for each in distributions()}
    return {name: found[name] for name in sorted(found) if "kratos" in name}


async def health_of(health: Health) -> dict[str, Any]:
    """Return the answers to all three questions, and why checks fail."""
    reports = {kind.value: await health.report(kind) for kind in Kind}
    return {
        "phase": health.phase.value,
        "services": {
            name or "(all)": status.name
            for name in health.services
            if (status := health.status(name)) is not None
        },
        **{
            kind: {
                "ok": report.ok,
                "checks": [
                    {
                        "name": result.name,
                        "ok": result.ok,
                        "critical": result.critical,
                        "message": result.message,
                        "duration": round(result.duration, 6),
                    }
                    for result in report.results
                ],
            }
            for kind, report in reports.items()
        },
    }


def routes_of(app: App | None) -> dict[str, Any]:
    """Return the operations of an application, and the routes of each server that has any."""
    if app is None:
        return {"operations": [], "servers": []}
    options = app.options
    methods = [method for service in options.services for method in service.METHODS]
    servers = (*options.servers, *options.host_servers)
    return {
        "operations": [_operation(method) for method in methods],
        "servers": [
            {"server": type(server).__name__, "routes": [_route(each) for each in server.routes]}
            for server in servers
            if isinstance(server, HttpServer)
        ],
    }


def _operation(method: Method[Any, Any]) -> dict[str, Any]:
    return {
        "operation": method.operation,
        "arity": method.arity.name.lower(),
        "http": [f"{rule.verb} {rule.path}" for rule in method.http],
    }


def _route(route: Route) -> dict[str, str]:
    return {
        "verb": route.verb,
        "path": route.template.text,
        "endpoint": type(route.endpoint).__name__,
    }
