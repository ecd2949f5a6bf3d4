"""A service of two workers that fails when it is told to: ``shop.py``; Sentry by SENTRY_DSN."""

from __future__ import annotations

from kratos import App, run
from kratos.middleware import logging, recovery, request_id, tracing
from kratos.testing.echo import EchoService
from kratos_http import HttpServer
from kratos_sentry import Sentry, server


def build() -> App:
    return App(
        name="shop",
        version="1.2.0",
        services=[EchoService()],
        middleware=[recovery(), request_id(), tracing(), logging(), server()],
        servers=[HttpServer("127.0.0.1:0", timeout=30)],
        resources=[Sentry(flush_timeout=30)],
        workers=2,
    )


if __name__ == "__main__":
    run(build)
