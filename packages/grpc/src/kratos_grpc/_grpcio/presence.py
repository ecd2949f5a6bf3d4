"""The cause of cancellations that come from gRPC itself.

When the peer has gone or its deadline has passed, grpc.aio cancels the task that serves the
call. The chain is to see why, so the cause has to be on the call before the cancellation
enters it: no middleware, not even the outermost, is early enough for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, Final, TypeVar

from kratos.transport import Call, Cause
from kratos_grpc._grpcio.answer import Answer

__all__ = ["attended"]

T = TypeVar("T")

# Seconds. The peer counts its deadline from when it sent the call, the server from when it
# came: a peer that gives up on time seems a little early here.
_EARLY: Final = 0.05


@coroutine
def attended(
    call: Call, running: Coroutine[Any, Any, T], answer: Answer | None = None
) -> Generator[Any, Any, T]:
    """Run a call in the current task, and note the cause of a cancellation that has none.

    Handlers cancel this task, too, and take it back: time limits and task groups do. An answer
    knows whether its peer left. Without one that shows afterwards, and the cause is taken back.

    Args:
        call: The call.
        running: What runs it.
        answer: Watches the peer from when the call waits for the first time.
    """
    noted = False
    try:
        awaited = running.send(None)
        if answer is not None:
            answer.watch()
        while True:
            try:
                value = yield awaited
            except asyncio.CancelledError as cancelled:
                if answer is None or answer.left:
                    call.note(_cause(call))
                    noted = True
                awaited = running.throw(cancelled)
            except BaseException as raised:
                awaited = running.throw(raised)
            else:
                if noted:
                    call.reconsider()
                awaited = running.send(value)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        running.close()


def _cause(call: Call) -> Cause:
    now = asyncio.get_running_loop().time()
    if call.deadline is not None and now >= call.deadline - _EARLY:
        return Cause.DEADLINE
    return Cause.PEER_GONE
