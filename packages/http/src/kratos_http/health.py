"""Health of the application as paths for probes; off unless a server is given them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from kratos.client import HealthCheck, asking
from kratos.health import Health, Kind, Report
from kratos.transport.http import Head, Reply
from kratos_http._endpoints import Function
from kratos_http._refusal import JSON
from kratos_http.invocation import ClientRequest, undefined

__all__ = ["HealthPaths", "health_check", "probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPaths:
    """Where probes ask; an empty path leaves its question out.

    Attributes:
        live: Would a restart mend something? For a liveness probe.
        ready: Shall calls come here now? For a readiness probe.
        startup: Has the application started? For a startup probe.
    """

    live: str = "/livez"
    ready: str = "/readyz"
    startup: str = "/startupz"

    def questions(self) -> dict[str, Kind]:
        """Return the question of each path."""
        asked = {self.live: Kind.LIVE, self.ready: Kind.READY, self.startup: Kind.STARTUP}
        return {path: kind for path, kind in asked.items() if path}


def health_check(path: str = "/readyz", *, timeout: float = 1.0) -> HealthCheck:
    """Make a client's check of a path: a node is healthy that answers it with 2xx.

    Args:
        path: What to ask for; of a ``HealthPaths``, or any other path that answers GET.
        timeout: Seconds that a node has for its answer.
    """
    method = undefined("GET", path, idempotent=True)
    return asking(method, ClientRequest(target=path), timeout=timeout)


def probe(health: Health, kind: Kind) -> Function:
    """Return an endpoint that answers 200 or 503, with the names of the checks.

    Why a check fails is for logs: it may tell inner names, and probes are open to many.
    """

    async def answer(_head: Head, _body: bytes) -> Reply:
        report = await health.report(kind)
        return Reply(200 if report.ok else 503, JSON, _text(report))

    return Function(answer, max_body=0)


def _text(report: Report) -> bytes:
    checks = [
        {"name": result.name, "ok": result.ok, "critical": result.critical}
        for result in report.results
    ]
    body = {"ok": report.ok, "phase": report.phase.value, "checks": checks}
    return json.dumps(body, separators=(",", ":")).encode()
