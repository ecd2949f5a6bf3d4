"""The links of a chain that ask before a call and tell afterwards, exactly once."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Final, Protocol

from aegis.guard import Guard
from aegis.outcome import Outcome as Verdict
from kratos.middleware._refusal import Refusals
from kratos.middleware._turns import Turns
from kratos.middleware._verdict import Judge
from kratos.transport.call import Call, Handler, Side
from kratos.transport.cause import Cause
from kratos.transport.chain import Middleware

__all__ = [
    "WORTH_A_TURN",
    "Key",
    "admitting",
    "admitting_in_turn",
    "by_key",
    "indifferent",
    "opening",
    "settle",
]

WORTH_A_TURN: Final = 100_000
"""Nanoseconds that calls take at least if they are to wait for a turn of the loop."""

_SERVER: Final = Side.SERVER
_SUCCESS: Final = Verdict.SUCCESS
_IGNORED: Final = Verdict.IGNORED


class Key(Protocol):
    """Tells on whose account a call is."""

    def __call__(self, call: Call, /) -> str | None:
        """Return the account; ``None`` lets the call pass unasked."""
        ...


def indifferent(_call: Call, _error: BaseException | None) -> Verdict:
    """Return ``IGNORED``: the end frees the slot and teaches nothing."""
    return _IGNORED


def settle(
    done: Callable[[int, Verdict], None],
    token: int,
    judge: Judge,
    call: Call,
    error: BaseException | None,
) -> None:
    """Tell a guard of an end that is not plainly good; should ``judge`` raise, the slot is free."""
    verdict = _IGNORED
    try:
        verdict = judge(call, error)
    finally:
        done(token, verdict)


def admitting(
    guard: Guard, refusals: Refusals, judge: Judge, *, ask_always: bool = False
) -> Middleware:
    """Return the link of one guard, which is looked up here and not per call.

    A call that returns is a success, unless ``judge`` is to be asked about these too.
    """
    allow, done = guard.allow, guard.done
    well = _IGNORED if judge is indifferent else _SUCCESS

    async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
        token = allow()
        if token is None:
            raise refusals.error(call, guard.refusal())
        try:
            reply = await next(call, request)
        except BaseException as error:
            settle(done, token, judge, call, error)
            raise
        if call.cause is None and not ask_always:
            done(token, well)
        else:  # what was made of the cancellation is not what the caller gets
            settle(done, token, judge, call, None)
        return reply

    return admitted


def admitting_in_turn(
    guard: Guard, refusals: Refusals, judge: Judge, turns: Turns, *, ask_always: bool = False
) -> Middleware:
    """Return the link of a guard to which calls that wait for the event loop are in flight.

    A handler that computes and awaits nothing is never in flight next to another: the others wait
    where no guard sees them, not yet begun. Hence a call that was admitted waits for its turn,
    see ``Turns``. So all that are there are asked before the first of them runs, and the wait is
    part of the latency. Calls shorter than ``WORTH_A_TURN`` begin at once: a turn costs some
    microseconds, and to refuse one of these would save as little.
    """
    allow, done = guard.allow, guard.done
    well = _IGNORED if judge is indifferent else _SUCCESS
    long = False  # whether the last call was worth a turn

    async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
        nonlocal long
        turns.asked += 1
        token = allow()
        if token is None:
            raise refusals.error(call, guard.refusal())
        start = monotonic_ns()
        try:
            if long and call.side is _SERVER:
                await turns.wait()
                if call.remaining() == 0:
                    raise Cause.DEADLINE.error()  # nobody waits for this any more
            reply = await next(call, request)
        except BaseException as error:
            long = monotonic_ns() - start >= WORTH_A_TURN
            settle(done, token, judge, call, error)
            raise
        long = monotonic_ns() - start >= WORTH_A_TURN
        if call.cause is None and not ask_always:
            done(token, well)
        else:
            settle(done, token, judge, call, None)
        return reply

    return admitted


def opening(guard: Guard, refusals: Refusals) -> Middleware:
    """Return a link that asks before a stream and holds nothing while it is open."""
    allow, done = guard.allow, guard.done

    async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
        token = allow()
        if token is None:
            raise refusals.error(call, guard.refusal())
        done(token, _IGNORED)
        return await next(call, request)

    return admitted


def by_key(key: Key, links: Callable[[str], Middleware]) -> Middleware:
    """Return a link that finds the link of its account."""

    async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
        account = key(call)
        if account is None:
            return await next(call, request)
        return await links(account)(call, request, next)

    return admitted
