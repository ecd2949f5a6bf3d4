"""The shape that breakers and limiters of concurrency share, and its use in ``with``.

A guard answers ``allow`` with a token or ``None``, and hears by ``done`` how the call ended. All
decisions are synchronous and short, so the same object serves coroutines, threads and plain calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar, cast, runtime_checkable

from aegis.outcome import Classify, Outcome, classified, outcome_of
from aegis.refusal import Refused

__all__ = ["Admission", "Guard", "Guarded", "guarded", "is_awaited"]

_SUCCESS: Final = Outcome.SUCCESS

F = TypeVar("F", bound=Callable[..., Any])


@runtime_checkable
class Guard(Protocol):
    """Decides whether a call may run, and learns from how it ended."""

    def allow(self) -> int | None:
        """Return a token for one call, to be handed to ``done`` once; ``None`` refuses it."""
        ...

    def done(self, token: int, outcome: Outcome = Outcome.SUCCESS, /) -> None:
        """Note how the call that was let through with ``token`` ended."""
        ...

    def refusal(self) -> Refused:
        """Return the exception that tells a caller of the refusal."""
        ...


class Guarded(ABC):
    """What guards inherit: the forms with ``with`` and as a decorator."""

    __slots__ = ()

    @abstractmethod
    def allow(self) -> int | None:
        """Return a token for one call, to be handed to ``done`` once; ``None`` refuses it."""

    @abstractmethod
    def done(self, token: int, outcome: Outcome = Outcome.SUCCESS, /) -> None:
        """Note how the call that was let through with ``token`` ended."""

    @abstractmethod
    def refusal(self) -> Refused:
        """Return the exception that tells a caller of the refusal."""

    def guard(self, *, classify: Classify = outcome_of) -> Admission:
        """Return a context manager, sync and async, that admits one call or raises ``Refused``.

        As a decorator it admits each call of a function or coroutine function by itself::

            with breaker.guard(): ...
            async with breaker.guard(): ...
            @breaker.guard()
            async def fetch(): ...

        Args:
            classify: What an exception that leaves the block says of the one that was called.
                Cancellation and what is no ``Exception`` are ``IGNORED`` without asking it.
        """
        return Admission(self, classify)


class Admission:
    """One admission by a guard; see ``Guarded.guard``. May be used again, but not nested."""

    __slots__ = ("_classify", "_guard", "_token")

    def __init__(self, guard: Guard, classify: Classify = outcome_of) -> None:
        self._guard = guard
        self._classify = classify
        self._token: int | None = None

    def __enter__(self) -> None:
        if self._token is not None:
            msg = "this admission is in use: ask the guard for another"
            raise RuntimeError(msg)
        token = self._guard.allow()
        if token is None:
            raise self._guard.refusal()
        self._token = token

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        token = self._token
        if token is None:
            msg = "this admission was left without being entered"
            raise RuntimeError(msg)
        self._token = None
        if error is None:
            self._guard.done(token, _SUCCESS)
            return
        _failed(self._guard, token, error, self._classify)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F, /) -> F:
        """Decorate a function or a coroutine function; each call is admitted by itself."""
        return _admitted(self._guard, self._classify, function)


def _failed(guard: Guard, token: int, error: BaseException, classify: Classify) -> None:
    outcome = Outcome.IGNORED  # should the user's classify raise, the slot is free all the same
    try:
        outcome = classified(error, classify)
    finally:
        guard.done(token, outcome)


def _admitted(guard: Guard, classify: Classify, function: F, /) -> F:
    """Do what ``guarded`` does with admissions, at half the cost: without an object per call."""
    _refuse_generators(function)
    allow, done = guard.allow, guard.done
    if is_awaited(function):

        @wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            token = allow()
            if token is None:
                raise guard.refusal()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                _failed(guard, token, error, classify)
                raise
            done(token, _SUCCESS)
            return result

        return cast("F", awaited)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        token = allow()
        if token is None:
            raise guard.refusal()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            _failed(guard, token, error, classify)
            raise
        done(token, _SUCCESS)
        return result

    return cast("F", called)


def _refuse_generators(function: Callable[..., Any]) -> None:
    if isgeneratorfunction(function) or isasyncgenfunction(function):
        msg = f"{function.__qualname__} is a generator function: guard the code that iterates it"
        raise TypeError(msg)


def is_awaited(function: Callable[..., Any]) -> bool:
    """Return whether a call of ``function`` is a coroutine: it is a function or an object of it."""
    if iscoroutinefunction(function):
        return True
    call: object = getattr(function, "__call__", None)  # noqa: B004
    return iscoroutinefunction(call)


def guarded(admit: Callable[[], AbstractContextManager[object]], function: F, /) -> F:
    """Return ``function`` behind admissions, one per call, that ``admit`` makes.

    Args:
        admit: Makes a context manager that may raise on entry.
        function: A function or a coroutine function.

    Raises:
        TypeError: It is a generator function, whose call only makes the generator.
    """
    _refuse_generators(function)
    if is_awaited(function):

        @wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with admit():
                return await function(*args, **kwargs)

        return cast("F", awaited)

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with admit():
            return function(*args, **kwargs)

    return cast("F", called)
