"""What a service of the demo tells its audience: one JSON line a call, on standard output."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from kratos.middleware import Middleware, outcome
from kratos.transport import Call, Handler, Side, server_call

__all__ = ["CALL_ID", "Entry", "journal"]

CALL_ID = "x-md-global-demo-call"  # header that ties what a call caused to the call

_LONGEST = 200  # characters of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call as a service saw it.

    Attributes:
        call: Id that the audience gave its call.
        side: ``server`` or ``client``.
        who: The service that writes.
        target: What it called, as a client.
        by: Transport.
        operation: Name of the operation.
        code: How it ended.
        reason: The error's reason.
        answer: The reply or the error's message, on one line.
        ms: Milliseconds it took.
    """

    call: str
    side: str
    who: str
    target: str
    by: str
    operation: str
    code: int
    reason: str
    answer: str
    ms: float

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Read a line that ``journal`` wrote."""
        return cls(**json.loads(line))


def journal(who: str) -> Middleware:
    """Write an entry for every call that passes, on either side."""

    async def note(call: Call, request: Any, next: Handler, /) -> Any:
        start = time.perf_counter()
        reply: Any = None
        error: BaseException | None = None
        if call.side is Side.CLIENT:
            cause = server_call()
            if cause is not None:
                call.headers.set(CALL_ID, cause.headers.get(CALL_ID))
        try:
            reply = await next(call, request)
        except BaseException as raised:
            error = raised
            raise
        finally:
            end = outcome(call, error)
            entry = Entry(
                call=call.headers.get(CALL_ID),
                side=call.side.value,
                who=who,
                target=call.endpoint if call.side is Side.CLIENT else "",
                by=call.transport,
                operation=call.method.operation,
                code=end.code,
                reason=end.reason,
                answer=_on_one_line(reply if end.error is None else end.error.message),
                ms=(time.perf_counter() - start) * 1000,
            )
            sys.stdout.write(json.dumps(asdict(entry)) + "\n")
            sys.stdout.flush()
        return reply

    return note


def _on_one_line(answer: object) -> str:
    # The audience reads lines, and a cover has a million bytes.
    return " ".join(str(answer)[:_LONGEST].split())
