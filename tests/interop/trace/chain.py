"""A link of a chain of services: ``chain.py http|grpc NEXT OTLP``.

Over HTTP it serves First and asks Second at ``NEXT``; over gRPC it serves Second and asks Last
there.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from google.protobuf.wrappers_pb2 import StringValue

from kratos import App, Client, Service, run
from kratos.log import Helper, setup
from kratos.middleware import tracing
from kratos.transport import Arity, HttpRule, Method
from kratos_grpc import GrpcServer
from kratos_http import HttpServer
from kratos_otel import OtelTracer, Telemetry


def method(service: str, *http: HttpRule) -> Method[StringValue, StringValue]:
    return Method(
        operation=f"/chain.{service}/Go",
        name="go",
        arity=Arity.UNARY,
        request=StringValue,
        reply=StringValue,
        http=http,
    )


FIRST = method("First", HttpRule(verb="POST", path="/first", body="*"))
SECOND = method("Second")
LAST = method("Last")

KIND, NEXT, OTLP = sys.argv[1:]
TRACED = tracing(OtelTracer())
LOG = setup(format="json")


class Link(Service):
    """Asks the next one."""

    def __init__(self, caller: Client, asked: Method[StringValue, StringValue]) -> None:
        self._caller = caller
        self._asked = asked

    async def go(self, request: StringValue, /) -> StringValue:
        Helper(LOG).info("asked", link=KIND)
        request = StringValue(value=f"{request.value} {KIND}")
        return await self._caller.unary(self._asked, request)


class First(Link):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (FIRST,)


class Second(Link):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (SECOND,)


def build() -> App:
    caller = Client(NEXT, transport="grpc", middleware=[TRACED])
    over_http = KIND == "http"
    return App(
        name=f"python-{KIND}",
        services=[First(caller, SECOND) if over_http else Second(caller, LAST)],
        middleware=[TRACED],
        servers=[HttpServer("127.0.0.1:0") if over_http else GrpcServer("127.0.0.1:0")],
        resources=[Telemetry(OTLP, metrics=False), caller],
        log=LOG,
    )


if __name__ == "__main__":
    run(build)
