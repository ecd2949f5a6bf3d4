"""What a client gets when there is no answer of a back end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from kratos.errors import Error, to_grpc_code
from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Answer, RequestOptions

__all__ = ["GRPC", "error_answer", "grpc_status", "status_of"]

GRPC: Final = b"application/grpc"

# Nothing of what is inside: neither addresses nor what a library says.
_MESSAGES: Final = {
    499: "the client went away",
    502: "the back end could not be reached, or was lost",
    504: "the back end did not answer in time",
}
_PRINTABLE: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


def status_of(error: BaseException) -> int:
    """Return the status of HTTP that stands for a failure."""
    if isinstance(error, TimeoutError):
        return 504
    if isinstance(error, Error):
        return error.code if 400 <= error.code <= 599 else 502
    return 502


def grpc_status(status: int, message: str = "") -> WireHeaders:
    """Return the fields of gRPC that stand for a status of HTTP."""
    text = message or _MESSAGES.get(status, "")
    fields = [(b"grpc-status", b"%d" % to_grpc_code(status))]
    if text:
        fields.append((b"grpc-message", quote(text, safe=_PRINTABLE).encode()))
    return fields


def error_answer(
    error: BaseException, *, grpc: bool, options: RequestOptions | None = None
) -> Answer:
    """Return the answer that stands for a failure.

    Args:
        error: The failure.
        grpc: Whether it is one of gRPC, whose status of HTTP is always 200.
        options: Of the request, whose middleware may have a form of its own, and marks; ``None``
            before there is one.
    """
    if options is None:
        return _plain(error, grpc=grpc)
    answer = _formed(error, options.on_error) if options.on_error else _plain(error, grpc=grpc)
    for mark in options.marks:
        answer = mark(answer)
    return answer


def _formed(error: BaseException, form: Callable[[int, str], Answer]) -> Answer:
    status = status_of(error)
    return form(status, error.message if isinstance(error, Error) else _MESSAGES.get(status, ""))


def _plain(error: BaseException, *, grpc: bool) -> Answer:
    status = status_of(error)
    if not grpc:
        return Answer(status)
    message = error.message if isinstance(error, Error) else ""
    return Answer(200, [(b"content-type", GRPC), *grpc_status(status, message)])
