"""Faults that a caller asks for by headers."""

from __future__ import annotations

from typing import Final

from kratos.clock import Clock
from kratos.duration import parse_duration
from kratos.errors import Error
from kratos.transport import Call

__all__ = ["CODE", "DELAY", "HeaderFaults"]

DELAY: Final = "x-kratos-fault-delay"
CODE: Final = "x-kratos-fault-code"

_CODES: Final = range(400, 600)


class HeaderFaults:
    """Does to a call what its own headers say.

    Args:
        clock: Time of delays.
        max_delay: Most seconds of one.
    """

    def __init__(self, clock: Clock, *, max_delay: float) -> None:
        self._clock = clock
        self._max_delay = max_delay

    async def apply(self, call: Call) -> None:
        """Wait, or fail, as the headers say.

        Raises:
            Error: The one asked for, with the reason ``FAULT_INJECTED``; or 400
                ``FAULT_MALFORMED`` for a header that says neither.
        """
        delay, code = call.headers.get(DELAY), call.headers.get(CODE)
        if not delay and not code:
            return
        seconds = _seconds(delay) if delay else 0.0
        failure = _failure(code) if code else None
        if seconds:
            await self._clock.sleep(min(seconds, self._max_delay))
        if failure is not None:
            raise failure


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise _malformed(f"{DELAY}: {text!r} is no duration such as 200ms")
    return seconds


def _failure(text: str) -> Error:
    code = int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0
    if code not in _CODES:
        raise _malformed(f"{CODE}: {text!r} is no code from 400 to 599")
    return Error(code, "FAULT_INJECTED", f"asked for by {CODE}")


def _malformed(what: str) -> Error:
    return Error(400, "FAULT_MALFORMED", what)
