"""One record per call (Go: middleware/logging)."""

from __future__ import annotations

import logging as _logging
import time
from typing import Any, Final

from google.protobuf.message import Message

from kratos.log._text import Rendered
from kratos.middleware._budget import BUDGET, BUDGET_LEFT, budget
from kratos.middleware._outcome import outcome
from kratos.transport.call import Call, Handler, Side
from kratos.transport.chain import Middleware

__all__ = ["logging"]

_MOST_SHOWN: Final = 16 * 1024  # bytes of a request, characters of an error


def logging(logger: _logging.Logger | None = None) -> Middleware:
    """Log each call when it has ended: kind, component, operation, args, code, reason, latency.

    The fields stand in the record's ``extra`` under Go Kratos' names and in the text. A call
    that was answered well is logged at INFO, any other at ERROR.

    Of a call with a deadline, ``budget`` is the seconds that it had, and ``budget_left`` those
    that were left when it ended, negative if it took longer; ``latency`` is what it used.
    Of a request of more than 16 KiB, ``args`` is type and size, and the text of an error is cut
    there: nobody may fill the log from afar.

    Args:
        logger: Where to; ``kratos.calls`` of the standard library by default.
    """
    log = _logging.getLogger("kratos.calls") if logger is None else logger

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
            level = _logging.INFO if end.ok else _logging.ERROR
            if log.isEnabledFor(level):
                _write(log, level, call, request, start, end.code, end.reason, end.error)

    return record


def _write(
    log: _logging.Logger,
    level: int,
    call: Call,
    request: Any,
    start: float,
    code: int,
    reason: str,
    error: BaseException | None,
) -> None:
    latency = time.perf_counter() - start
    fields: dict[str, object] = {
        "kind": call.side.value,
        "component": call.transport,
        "operation": call.method.operation,
        "args": _arguments(call, request),
        "code": code,
        "reason": reason,
        "latency": latency,
    }
    time_of_it = budget(call, latency)
    if time_of_it is not None:
        fields[BUDGET] = time_of_it.total
        fields[BUDGET_LEFT] = time_of_it.left
    if error is not None:
        fields["error"] = _cut(str(error))
    side = "server" if call.side is Side.SERVER else "client"
    # "args" is the name of a LogRecord's own attribute, so the fields travel under one key.
    log.log(level, "%s request %s", side, Rendered(fields), extra={"kratos": fields})


def _cut(text: str) -> str:
    if len(text) <= _MOST_SHOWN:
        return text
    return f"{text[:_MOST_SHOWN]}... ({len(text)} characters)"


def _arguments(call: Call, request: Any) -> str:
    if call.method.arity.client_streams:
        return f"stream sent={call.sent} received={call.received}"
    redact = getattr(request, "redact", None)
    if callable(redact):
        return str(redact())
    if isinstance(request, Message) and (size := request.ByteSize()) > _MOST_SHOWN:
        return f"{type(request).__name__} of {size} bytes"
    return " ".join(str(request).split())
