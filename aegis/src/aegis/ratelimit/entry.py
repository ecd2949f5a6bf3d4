"""A rate limiter in ``with``."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from aegis.guard import guarded
from aegis.ratelimit.decision import Decision
from aegis.refusal import RateExceeded

__all__ = ["Entry"]

F = TypeVar("F", bound=Callable[..., Any])


class Entry:
    """Charges on entry or raises; holds nothing, so it may be used again, nested and shared.

    Args:
        take: Makes the decision on one entry.
    """

    __slots__ = ("_take",)

    def __init__(self, take: Callable[[], Decision]) -> None:
        self._take = take

    def __enter__(self) -> None:
        decision = self._take()
        if not decision.allowed:
            after = decision.retry_after
            msg = f"over the limit of {decision.limit} permits; try again in {after:g} s"
            raise RateExceeded(msg, retry_after=after)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __call__(self, function: F, /) -> F:
        """Decorate a function or a coroutine function; each call is charged."""
        return guarded(lambda: self, function)
