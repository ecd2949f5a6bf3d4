"""A service of several workers that says nothing of metrics: ``crew.py REGISTRY WORKERS WIDE``.

The installed meter counts its calls by itself. ``WIDE`` makes so many series more.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Any

import prometheus_client

from kratos import App, run
from kratos.metrics import default_meter
from kratos.middleware import tracing
from kratos.testing.echo import EchoService
from kratos.testing.tracing import MemoryTracer
from kratos.transport import Call, Handler
from kratos_http import HttpServer
from kratos_http.debug import DebugServer
from kratos_http.limits import Limits

PR_SET_PDEATHSIG = 1  # prctl(2)
SERVED = prometheus_client.Gauge("crew_served", "Calls, of each worker by itself.")


async def serve(call: Call, request: Any, next: Handler, /) -> Any:
    """Note which worker it was."""
    SERVED.inc()
    return await next(call, request)


def build() -> App:
    wide = default_meter().histogram("wide_seconds", labels=("number",))
    for number in range(int(sys.argv[3])):
        wide.labels(str(number)).observe(0.5)
    return App(
        name="crew",
        services=[EchoService()],
        middleware=[tracing(MemoryTracer()), serve],
        servers=[HttpServer("127.0.0.1:0")],
        # Short, as the system's buffers may take a whole answer in place of a peer that does not.
        host_servers=[DebugServer(limits=Limits(write_timeout=1.0, idle_timeout=5.0))],
        registrar=sys.argv[1],
        stop_timeout=5.0,
        workers=int(sys.argv[2]),
    )


if __name__ == "__main__":
    # Also where the tests are killed, by their time limit for instance, it does not go on.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    run(build)
