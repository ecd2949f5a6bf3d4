"""One record per call (Go: middleware/logging)."""

from __future__ import annotations

import logging as _logging
import time
from typing import Any, Final

from google.protobuf.message import Message

from kratos.errors import Error
from kratos.log import Level, Logger, StdLogger
from kratos.log._text import text_of
from kratos.log.messages import message_text
from kratos.middleware._budget import BUDGET, BUDGET_LEFT, budget
from kratos.middleware._outcome import Outcome, outcome
from kratos.options import require_methods
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware

__all__ = ["logging"]

_MOST_SHOWN: Final = 16 * 1024  # bytes of a request, characters of an error


def logging(logger: Logger | _logging.Logger | None = None) -> Middleware:
    """Log each call when it has ended: kind, component, operation, args, code, reason, latency.

    The message is ``server request`` or ``client request``, the fields have Go Kratos' names and
    order. A call that was answered well is logged at INFO, any other at ERROR with ``error``:
    its text if it is an ``Error``, else the exception, whose trace loggers write as ``stack``.

    ``args`` is what the request's method ``redact()`` returns if it has one, else its text
    without the fields that the definition marks with ``debug_redact``, see ``message_text``.
    Of a stream of requests it is how many messages went each way.

    Of a call with a deadline, ``budget`` is the seconds that it had, and ``budget_left`` those
    that were left when it ended, negative if it took longer; ``latency`` is what it used.
    Of a request of more than 16 KiB, ``args`` is type and size, and other texts, reasons of
    peers too, are cut there: nobody may fill the log from afar.

    Args:
        logger: Where to; ``kratos.calls`` of the standard library by default. Records of the
            standard library have the fields in their text and, under ``kratos``, as data.
    """
    if logger is None or isinstance(logger, _logging.Logger):
        logger = StdLogger(logger or _logging.getLogger("kratos.calls"))
    require_methods("logger", logger, "a logger", "log")
    write = logger.log
    enabled = getattr(logger, "enabled", None)

    async def record(call: Call, request: Any, next: Handler, /) -> Any:
        start = time.perf_counter()
        error: BaseException | None = None
        try:
            return await next(call, request)
        except BaseException as raised:
            error = raised
            raise
        finally:
            end = outcome(call, error)
            level = Level.INFO if end.ok else Level.ERROR
            if enabled is None or enabled(level):
                latency = time.perf_counter() - start
                side = "server" if call.side is Side.SERVER else "client"
                write(level, f"{side} request", _fields(call, request, latency, end, error))

    return record


def _fields(
    call: Call, request: Any, latency: float, end: Outcome, error: BaseException | None
) -> dict[str, object]:
    fields: dict[str, object] = {
        "kind": call.side.value,
        "component": call.transport,
        "operation": call.method.operation,
        "args": _arguments(call, request),
        "code": end.code,
        "reason": _cut(end.reason),
        "latency": latency,
    }
    if error is not None:
        fields["error"] = _shown(error)
    time_of_it = budget(call, latency)
    if time_of_it is not None:
        fields[BUDGET] = time_of_it.total
        fields[BUDGET_LEFT] = time_of_it.left
    return fields


def _shown(error: BaseException) -> object:
    """Return an exception that nobody expected, of any other the text."""
    text = text_of(error)
    if isinstance(error, Exception) and not isinstance(error, Error) and len(text) <= _MOST_SHOWN:
        return error
    return _cut(text)


def _cut(text: str) -> str:
    if len(text) <= _MOST_SHOWN:
        return text
    return f"{text[:_MOST_SHOWN]}... ({len(text)} characters)"


def _arguments(call: Call, request: Any) -> str:
    if call.method.arity.client_streams:
        return f"stream sent={call.sent} received={call.received}"
    try:
        return _cut(_described(request))
    except Exception as error:  # a line of the log is worth no failed call
        return f"<{type(request).__name__}, whose text fails: {type(error).__name__}>"


def _described(request: Any) -> str:
    redact = getattr(request, "redact", None)
    if callable(redact):
        return str(redact())
    if not isinstance(request, Message):
        return " ".join(str(request).split())
    if (size := request.ByteSize()) > _MOST_SHOWN:
        return f"{type(request).__name__} of {size} bytes"
    return message_text(request)
