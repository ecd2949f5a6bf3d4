"""What the end of a call says about the node that it ran on."""

from __future__ import annotations

import asyncio
from typing import Final

from kratos.errors import Error
from kratos.selector import Outcome
from kratos.transport import Call, Cause
from kratos.transport.floor import BUDGET_TOO_SMALL

__all__ = ["ran_out_of_time", "verdict"]

# Codes that blame the node; any other answer shows that it works.
_NODE_FAILURES: Final = frozenset({500, 503, 504})


def verdict(call: Call, error: BaseException) -> Outcome:
    """Return the outcome of a call that ended with an exception.

    * Errors 500, 503, 504, failed connections and a deadline that passed: a failure.
    * Any other ``Error`` is an answer: a success of the node.
    * A call that came too late to be begun, ``BUDGET_TOO_SMALL``, says nothing: it was refused
      for what happened before.
    * A call that was cut off from this side, or failed in this process: says nothing.
    """
    if isinstance(error, Error):
        if error.reason == BUDGET_TOO_SMALL:
            return Outcome.CANCELLED
        return Outcome.failure(error) if error.code in _NODE_FAILURES else Outcome.SUCCESS
    if isinstance(error, asyncio.CancelledError):
        return Outcome.failure(error) if ran_out_of_time(call) else Outcome.CANCELLED
    if isinstance(error, (OSError, EOFError)):
        return Outcome.failure(error)
    return Outcome.CANCELLED


def ran_out_of_time(call: Call) -> bool:
    """Whether the deadline is why a call was cancelled."""
    if call.cause is not None:
        return call.cause is Cause.DEADLINE
    # The cause is noted on the call that was made; an attempt knows only the deadline.
    return call.deadline is not None and call.deadline <= asyncio.get_running_loop().time()
