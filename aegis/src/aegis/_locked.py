"""Variants of classes whose methods hold a lock, for use from several threads.

A lock costs more than the decisions it protects, so the plain classes have none: an object belongs
to one event loop or one thread, unless it was made with ``threadsafe=True``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from threading import Lock
from typing import Any, ClassVar, Final, Self

__all__ = ["Lockable"]

_LOCK: Final = "_lock"


class Lockable:
    """A class of which ``threadsafe=True`` makes an object with a lock around its methods.

    Subclasses name in ``LOCKED`` the methods and properties that read or write their state. None
    of these may call another of them: the lock is not reentrant.
    """

    __slots__ = ()

    LOCKED: ClassVar[tuple[str, ...]] = ()

    def __new__(cls, *_args: Any, threadsafe: bool = False, **_options: Any) -> Self:
        kind: Any = cls  # a variant already, where copy makes another one
        if not issubclass(cls, _Locked):
            if not threadsafe:
                return super().__new__(cls)
            kind = _variant(kind)
        made: Self = super().__new__(kind)
        setattr(made, _LOCK, Lock())  # before __init__, which may call the methods
        return made


class _Locked:
    """Marks the variants, so that none is made of one."""

    __slots__ = ()


@cache
def _variant(plain: Any) -> Any:
    namespace: dict[str, Any] = {"__slots__": (_LOCK,), "__doc__": plain.__doc__}
    for name in plain.LOCKED:
        member: Any = getattr(plain, name)
        if isinstance(member, property):
            getter: Any = member.fget
            namespace[name] = property(_holding_none(getter), doc=member.__doc__)
        else:
            namespace[name] = _holding(member)
    namespace["__module__"] = plain.__module__
    return type(plain.__name__, (plain, _Locked), namespace)


def _holding(method: Callable[..., Any]) -> Callable[..., Any]:
    # The usual cases without star-arguments, which cost as much as the lock. Arguments only where
    # they have no names for callers, so that the variant takes what the plain class takes.
    code = method.__code__
    named = code.co_argcount > 1 and code.co_posonlyargcount < code.co_argcount
    if named or code.co_kwonlyargcount or code.co_flags & 0x0C:
        return _holding_any(method)
    shape = (code.co_argcount - 1, len(method.__defaults__ or ()))
    return _HOLDING.get(shape, _holding_any)(method)


def _holding_none(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def holding(self: Any) -> Any:
        with self._lock:
            return method(self)

    return holding


def _holding_one(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def holding(self: Any, value: Any, /) -> Any:
        with self._lock:
            return method(self, value)

    return holding


def _holding_one_or_two(method: Callable[..., Any]) -> Callable[..., Any]:
    (default,) = method.__defaults__ or (None,)

    @wraps(method)
    def holding(self: Any, value: Any, second: Any = default, /) -> Any:
        with self._lock:
            return method(self, value, second)

    return holding


def _holding_any(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def holding(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return holding


_HOLDING: Final = {  # by the number of arguments, and how many of them have defaults
    (0, 0): _holding_none,
    (1, 0): _holding_one,
    (2, 1): _holding_one_or_two,
}
