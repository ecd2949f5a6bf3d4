"""What the end of a call says to a guard: whether the one that was called works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from aegis.outcome import Outcome as Verdict
from kratos.middleware._outcome import Outcome, outcome
from kratos.transport.call import Call, Side
from kratos.transport.floor import BUDGET_TOO_SMALL

__all__ = ["Classify", "Judge", "failures_of_go", "judge", "wants_of_capacity"]

Classify: TypeAlias = "Callable[[Call, Outcome], Verdict]"
"""Tells what the end of a call says; never asked about calls that were cut off."""

Judge: TypeAlias = "Callable[[Call, BaseException | None], Verdict]"

_SUCCESS: Final = Verdict.SUCCESS
_FAILURE: Final = Verdict.FAILURE
_OVERLOAD: Final = Verdict.OVERLOAD
_IGNORED: Final = Verdict.IGNORED

_BREAKER_FAILURES: Final = frozenset({500, 503, 504})
_REFUSALS: Final = frozenset({429, 503, 504})


def judge(classify: Classify) -> Judge:
    """Return what makes a verdict of what ``next`` raised, or of ``None`` if it returned.

    A call that was cut off says nothing, except by its deadline, which is an error 504.
    """

    def verdict(call: Call, error: BaseException | None) -> Verdict:
        if not (error is None or isinstance(error, (Exception, asyncio.CancelledError))):
            return _IGNORED  # the program ends, or somebody closed the coroutine
        end = outcome(call, error)
        return _IGNORED if end.cancelled else classify(call, end)

    return verdict


def failures_of_go(_call: Call, end: Outcome) -> Verdict:
    """Return ``FAILURE`` for the codes 500, 503 and 504, as Go Kratos v3 does, else ``SUCCESS``.

    An exception that is no ``Error`` has code 500. ``BUDGET_TOO_SMALL``, which Go does not have,
    says nothing: it was the caller who had no time.
    """
    if end.reason == BUDGET_TOO_SMALL:
        return _IGNORED
    return _FAILURE if end.code in _BREAKER_FAILURES else _SUCCESS


def wants_of_capacity(call: Call, end: Outcome) -> Verdict:
    """Return what the end of a call says to a limiter of concurrency.

    A deadline that passed is ``OVERLOAD``; on a client so are 429 and 503, with which servers
    refuse. Other errors from 500 on, and the 429 of something further in, end before their time
    and are ``FAILURE``: no measure of latency. ``BUDGET_TOO_SMALL`` says nothing: nobody began.
    Anything else is an answer.
    """
    if end.reason == BUDGET_TOO_SMALL:
        return _IGNORED
    code = end.code
    if code == 504 or (call.side is Side.CLIENT and code in _REFUSALS):
        return _OVERLOAD
    return _FAILURE if code >= 500 or code == 429 else _SUCCESS
