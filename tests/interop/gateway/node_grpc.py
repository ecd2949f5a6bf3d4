"""A back end of gRPC, by grpcio, that takes every message as it is."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

__all__ = ["SERVICE", "grpc_node"]

SERVICE: Final = "both.Both"
_rpc: Any = grpc  # its stubs leave the messages of handlers open


def _details() -> bytes:
    status: Any = Status(code=9, message="with details")
    packed = AnyMessage()
    packed.Pack(Duration(seconds=1))
    status.details.append(packed)
    encoded: bytes = status.SerializeToString()
    return encoded


class _Handlers(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        _, service, method = handler_call_details.method.split("/")
        unary = {"Echo": _echo, "Fail": _fail, "Details": _with_details, "Hang": _hang}
        if service == SERVICE and method in unary:
            return _rpc.unary_unary_rpc_method_handler(unary[method])
        if service == SERVICE and method == "Watch":
            return _rpc.unary_stream_rpc_method_handler(_watch)
        return None


def _echo(request: bytes, context: grpc.ServicerContext) -> bytes:
    seen = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-head", "h"), ("x-seen", seen.get("x-mine", "-"))))
    context.set_trailing_metadata((("x-tail", "t"), ("x-tail-bin", b"\x00\xff")))
    return request


def _fail(request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("x-tail", "t"),))
    context.abort(grpc.StatusCode.NOT_FOUND, request.decode(errors="replace").strip('"'))
    raise AssertionError("abort raises")


def _with_details(_request: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((("grpc-status-details-bin", _details()),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "with details")
    raise AssertionError("abort raises")


def _hang(request: bytes, context: grpc.ServicerContext) -> bytes:
    over = threading.Event()
    if context.add_callback(over.set):
        over.wait()
    return request


def _watch(request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
    yield from (request, request * 2)


@contextmanager
def grpc_node() -> Generator[str]:
    """Serve one; the address."""
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((_Handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
