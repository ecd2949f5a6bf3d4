"""Health of the application as paths for probes; off unless a server is given them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from kratos.health import Health, Kind, Report
from kratos.transport.http import Head, Reply
from kratos_http._endpoints import Function
from kratos_http._refusal import JSON

__all__ = ["HealthPaths", "probe"]


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
