"""connect-python on uvicorn, with what its generated code would say.

Connect has paths of its own and no others. So that all subjects get the same requests, these are
renamed on their way in, which costs a small part of a microsecond.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from bench.bench_pb2 import HelloReply, HelloRequest, OrderReply, OrderRequest

from benchmarks.subjects.on_uvicorn import serve

_HELLO: Final = "/bench.Bench/Hello"
_ORDER: Final = "/bench.Bench/Order"
_QUERY: Final = b"connect=v1&encoding=json&message=%7B%22name%22%3A%22kratos%22%7D"


class Service:
    """Greets, and adds orders up."""

    async def hello(self, request: HelloRequest, _: Any) -> HelloReply:
        """Greet."""
        return HelloReply(message="Hello " + request.name)

    async def order(self, request: OrderRequest, _: Any) -> OrderReply:
        """Add an order up."""
        total = sum(line.quantity * line.price for line in request.lines)
        return OrderReply(id=request.customer, total=total, lines=request.lines)


def application() -> Any:
    """Return the application for the service."""
    method: Any = import_module("connectrpc.method")
    server: Any = import_module("connectrpc.server")
    pure, unknown = method.IdempotencyLevel.NO_SIDE_EFFECTS, method.IdempotencyLevel.UNKNOWN

    def endpoint(function: Any, asked: type, told: type, level: Any) -> Any:
        info = method.MethodInfo(
            name=function.__name__.capitalize(),
            service_name="bench.Bench",
            input=asked,
            output=told,
            idempotency_level=level,
        )
        return server.Endpoint.unary(method=info, function=function)

    def endpoints(service: Service) -> dict[str, Any]:
        return {
            _HELLO: endpoint(service.hello, HelloRequest, HelloReply, pure),
            _ORDER: endpoint(service.order, OrderRequest, OrderReply, unknown),
        }

    base = server.ConnectASGIApplication
    kind: Any = type("Bench", (base,), {"path": "/bench.Bench"})
    return kind(service=Service(), endpoints=endpoints)


def renamed(inner: Any) -> Any:
    """Return an application with the paths of the other subjects."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["method"] == "GET":
            scope["path"], scope["query_string"] = _HELLO, _QUERY
        else:
            scope["path"] = _ORDER
        await inner(scope, receive, send)

    return app


if __name__ == "__main__":
    serve(renamed(application()))
