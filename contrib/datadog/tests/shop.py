"""A service of two workers, which sends its metrics to where the environment says."""

from __future__ import annotations

from kratos import App, run
from kratos.metrics import default_meter
from kratos.middleware import metrics
from kratos.testing.echo import EchoService
from kratos_http import HttpServer


def build() -> App:
    return App(
        name="shop",
        services=[EchoService()],
        middleware=[metrics()],
        servers=[HttpServer("127.0.0.1:0", timeout=30)],
        after_start=[lambda _: default_meter().gauge("begun").set(1)],
        workers=2,
    )


if __name__ == "__main__":
    run(build)
