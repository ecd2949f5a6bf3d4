"""How a call ended, told in one place for every reporter."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kratos.errors import OK_CODE, Error
from kratos.errors._status import ungrouped
from kratos.transport.call import Call
from kratos.transport.cause import Cause

__all__ = ["Outcome", "outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Code and reason of a call's end.

    Attributes:
        code: 200 for success, else the error's code.
        reason: The error's reason.
        error: What failed; ``None`` for success.
        cancelled: Whether the call was cut off rather than answered. Neither a success nor a
            failure of the one that answers.
    """

    code: int = OK_CODE
    reason: str = ""
    error: Error | None = None
    cancelled: bool = False

    @property
    def ok(self) -> bool:
        """Whether the call was answered well."""
        return self.error is None


_SUCCESS = Outcome()


def outcome(call: Call, error: BaseException | None) -> Outcome:
    """Tell how a call ended from what ``next`` raised.

    Args:
        call: The call.
        error: What ``next`` raised; ``None`` when it returned.
    """
    cancelled = isinstance(error, asyncio.CancelledError)
    cause = call.cause
    if cause is None and cancelled:
        # The cause is noted on the call that was made; an attempt knows its deadline.
        cause = Cause.DEADLINE if call.remaining() == 0 else Cause.CALLER
    if cause is not None:  # whatever was made of the cancellation, this is what the caller gets
        end = cause.error()
        if not cancelled:
            end.__cause__ = error
        return Outcome(end.code, end.reason, end, cancelled=cause is not Cause.DEADLINE)
    if error is None:
        return _SUCCESS
    sole = ungrouped(error)
    if isinstance(sole, Error):
        return Outcome(sole.code, sole.reason, sole)
    unknown = Error(500, "UNKNOWN", str(error)).with_cause(error)
    return Outcome(unknown.code, unknown.reason, unknown)
