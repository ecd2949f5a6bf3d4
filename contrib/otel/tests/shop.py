"""A service whose telemetry a real collector takes: ``shop.py OTLP WORKERS``."""

from __future__ import annotations

import sys
from typing import Any

from kratos import App, run
from kratos.log import Level, setup
from kratos.middleware import metrics, tracing
from kratos.testing.echo import EchoService
from kratos_http import HttpServer
from kratos_otel import Telemetry

OTLP, WORKERS = sys.argv[1], int(sys.argv[2])
LOG = setup(logger="otel", format="json")


class Shop(EchoService):
    """Logs what it is asked."""

    async def _act(self, request: Any, method: Any) -> Any:
        LOG.log(Level.INFO, "asked", {"word": request.value})
        return await super()._act(request, method)


def tell(app: App) -> None:
    """Say where it serves: its log goes elsewhere."""
    print("serves", *app.endpoints, file=sys.stderr, flush=True)


def build() -> App:
    return App(
        name="shop",
        version="1.2",
        services=[Shop()],
        middleware=[tracing(), metrics()],
        servers=[HttpServer("127.0.0.1:0")],
        resources=[Telemetry(OTLP)],
        after_start=[tell],
        log=LOG,
        workers=WORKERS,
        stop_timeout=1,
    )


if __name__ == "__main__":
    run(build)
