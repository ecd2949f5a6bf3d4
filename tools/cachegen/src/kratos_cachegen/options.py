"""Decorators that say what is to be generated; they leave the methods as they are.

The generator reads them as they are written, so numbers, texts and ``True`` stand there
themselves. Where an option is an expression, it is a text, and names what the module of the
interface defines or imports, or ``self`` for the generated class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, Protocol, TypeVar, final

__all__ = ["MARK", "OnError", "bts", "mc", "memory", "redis"]

F = TypeVar("F", bound=Callable[..., Any])
OnError = Literal["continue", "break"]
_Verb = Literal["get", "set", "del", "replace", "only_add"]


@final
class _Mark:
    """What stands for ``MARK``."""

    def __repr__(self) -> str:
        return "MARK"


MARK: Final = _Mark()
"""For ``nullcache``: that nothing is there is noted beside values, not by one of them."""


class Decorator(Protocol):
    """Returns a method as it is."""

    def __call__(self, method: F, /) -> F:
        """Return the method."""
        ...


def bts(
    *,
    nullcache: object = None,
    check_null_code: str = "",
    cache_err: OnError = "continue",
    batch: int = 0,
    max_group: int = 0,
    batch_err: OnError = "break",
    singleflight: bool = False,
    sync: bool = False,
    paging: bool = False,
    ignores: str = "",
    custom_method: str = "",
    struct_name: str = "",
    prefetch: int = 0,
) -> Decorator:
    """Generate a method that asks the cache, and the source for what that lacks.

    Args:
        nullcache: What stands in the cache for "there is none", so that the source is not asked
            again; it may not be what an absent value looks like. ``MARK`` needs no such value, and
            needs one of the other decorators.
        check_null_code: Expression that tells that value, which is ``$`` in it.
        cache_err: When the cache cannot be read, ``continue`` asks the source, and leaves the
            cache alone; ``break`` raises.
        batch: Keys in one question to the source; with ``max_group``.
        max_group: Questions at the same time.
        batch_err: ``break`` ends the others at the first error, ``continue`` lets them finish.
        singleflight: Whether of those who want the same at the same time one works, and the others
            get what it made. ``cache_sf_<name>`` of the class says what is the same.
        sync: Whether the caller waits until the cache has what was loaded.
        paging: Whether the source returns what the caller gets and what the cache gets.
        ignores: ``a,b|c|d``: parameters that the cache, the source and the write do not get.
        custom_method: ``cache|source|write``: functions in place of ``cache_<name>``,
            ``raw_<name>`` and ``add_cache_<name>``.
        struct_name: Name of the generated class.
        prefetch: Keys of one shard of ``prefetch_<name>``, which fills the cache; 0 for none.
    """
    return _as_it_is


def redis(
    *,
    key: str = "",
    expire: float | str = 300.0,
    encode: str = "",
    type: _Verb | None = None,  # noqa: A002  as it has always been called
    batch: int = 0,
    max_group: int = 0,
    batch_err: OnError = "break",
    check_null_code: str = "",
    null_expire: float = 300.0,
    jitter: float = 0.1,
    stale: float = 0.0,
    lock: float = 0.0,
    struct_name: str = "",
) -> Decorator:
    """Generate what reads, writes and forgets values in a store.

    ``redis``, ``mc`` (memcached) and ``memory`` (in the process) are one decorator: its name is
    that of the parameter by which the generated class gets its store, any ``kratos.store.Store``.

    Beside ``bts``, that is the cache of the method. Alone it is one operation, which the name
    of the method tells: ``get_``, ``cache_``, ``set_``, ``add_``, ``replace_``, ``del_``.

    Args:
        key: Function that makes a key of the method's key and further parameters; by default
            ``key_<name>`` of the class, which may be overridden.
        expire: Seconds for which a value is kept, or an expression.
        encode: ``json``, ``pb``, ``msgpack`` or ``raw``, and ``gzip``, joined by ``|``. Basic types
            are ``raw``, others ``json``, unless told otherwise.
        type: What the method does, if its name does not tell.
        batch: Keys in one question, of those for many keys; with ``max_group``.
        max_group: Questions at the same time.
        batch_err: ``break`` ends the others at the first error, ``continue`` lets them finish.
        check_null_code: Expression that tells placeholders, which are kept for ``null_expire``.
        null_expire: Seconds for which it is kept that there is none.
        jitter: Part of ``expire`` by which it is shortened at most, at random, so that what was
            kept at the same time does not end at the same time; from 0 to 1.
        stale: Seconds after ``expire`` in which a value still serves, while one is loaded anew.
        lock: Seconds for which one process may load a value while all others wait for it; longer
            than that takes. When they are over, as that process has died, the next one loads. 0
            lets each process load. For methods of at most one key; they write before they return.
        struct_name: Name of the generated class.
    """
    return _as_it_is


mc = memory = redis


def _as_it_is(method: F, /) -> F:
    return method
