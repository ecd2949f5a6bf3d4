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
        if not threadsafe or issubclass(cls, _Locked):
            return super().__new__(cls)
        plain: Any = cls
        made: Self = super().__new__(_variant(plain))
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
    # The usual cases without star-arguments, which cost as much as the lock.
    code = method.__code__
    plain = not (code.co_kwonlyargcount or code.co_flags & 0x0C)
    return _HOLDING.get(code.co_argcount - 1 if plain else -1, _holding_any)(method)


def _holding_none(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def holding(self: Any) -> Any:
        with self._lock:
            return method(self)

    return holding


def _holding_any(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def holding(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return method(self, *args, **kwargs)

    return holding


_HOLDING: Final = {0: _holding_none}
