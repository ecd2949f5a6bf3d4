"""Answers of middleware that lets a request not through."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from kratos.errors import to_grpc_code
from kratos_gateway.api.gateway_pb2 import GRPC
from kratos_gateway.exchange import Answer, Request

__all__ = ["grpc_message", "hears_grpc", "is_grpc", "refuse"]

# Of those that the table of Kratos has no row for.
_GRPC: Final = {413: 8}
_SAFE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def is_grpc(request: Request, /) -> bool:
    """Tell whether a request is a call of gRPC, whose errors are trailers."""
    return request.header(b"content-type").startswith(b"application/grpc")


def hears_grpc(request: Request, /) -> bool:
    """Tell whether a refusal is told in the words of gRPC.

    Only by an endpoint of gRPC: elsewhere whoever says that he calls would have 200 for it, which
    caches before the gateway keep, and which those who watch for refusals do not see.
    """
    return request.options.endpoint.protocol == GRPC and is_grpc(request)


def grpc_message(text: str, /) -> bytes:
    """Return a text as ``grpc-message`` has it, percent-encoded."""
    return quote(text, safe=_SAFE).encode()


def refuse(
    request: Request,
    status: int,
    /,
    *,
    reason: str = "",
    message: str = "",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Answer:
    """Return the answer to a request that is not let through.

    To a call of gRPC it is the status of gRPC that stands for ``status``, to any other request it
    is ``status``, with an error of Kratos as JSON if there is a reason, else with nothing.

    Args:
        request: It.
        status: Of HTTP.
        reason: Stable name for machines, UPPER_SNAKE.
        message: Text for people.
        headers: Further ones, lower-case.
    """
    if hears_grpc(request):
        told = [(b"content-type", b"application/grpc")]
        told.append((b"grpc-status", str(_GRPC.get(status) or to_grpc_code(status)).encode()))
        told.append((b"grpc-message", grpc_message(message or reason)))
        return Answer(200, [*told, *headers])
    if not reason:
        return Answer(status, list(headers))
    error: dict[str, object] = {
        "code": status,
        "reason": reason,
        "message": message,
        "metadata": {},
    }
    body = json.dumps(error, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, [(b"content-type", b"application/json"), *headers], body)
