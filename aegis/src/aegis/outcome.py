"""What the end of a call says about the one that was called."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

__all__ = ["Classify", "Outcome", "classified", "outcome_of"]


class Outcome(Enum):
    """What the end of a call says about the one that was called."""

    SUCCESS = "success"
    """It answered. An answer that blames the caller (not found, forbidden) is one too."""

    FAILURE = "failure"
    """It failed. Breakers count this against it."""

    OVERLOAD = "overload"
    """It refused or was too late for want of capacity. A failure to breakers, and to limiters of
    concurrency a sign to let fewer calls in."""

    IGNORED = "ignored"
    """Nothing is known: the caller gave up. The slot is freed, and no statistics are touched."""


Classify: TypeAlias = Callable[[BaseException], Outcome]
"""Tells what an exception says; never called for cancellations and exits of the program."""


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome that an exception stands for unless the user knows better.

    A timeout means overload, any other exception failure.
    """
    return Outcome.OVERLOAD if isinstance(error, TimeoutError) else Outcome.FAILURE


def classified(error: BaseException | None, classify: Classify) -> Outcome:
    """Return the outcome of a block that ended with ``error``, or well if there is none."""
    if error is None:
        return Outcome.SUCCESS
    # What is no Exception ends the caller and says nothing of the one that was called.
    if isinstance(error, CancelledError) or not isinstance(error, Exception):
        return Outcome.IGNORED
    return classify(error)
