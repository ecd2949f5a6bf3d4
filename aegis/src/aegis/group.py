"""Things made on demand, one for each key, with a bound on how many there are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, ClassVar, Final, Generic, TypeVar

from aegis._check import at_least
from aegis._locked import Lockable

__all__ = ["Group"]

T = TypeVar("T")


class Group(Lockable, Generic[T]):
    """A container of at most ``capacity`` things by key, such as a breaker for each operation.

    What a key has is made when it is first asked for, once. When there is no room, the one that
    was asked for longest ago goes; whoever still holds it may use it on.

    Source: Go Kratos ``internal/group``, which has no bound: keys that come from callers would
    fill the memory.

    Args:
        factory: Makes a thing. It must not use the group. What it raises is raised by ``get``,
            and the key stays absent.
        capacity: Most things that are kept, at least 1.
        threadsafe: Whether it is used from several threads; the factory then runs under its lock.

    Raises:
        ValueError: ``capacity`` is less than 1.
    """

    __slots__ = ("_capacity", "_factory", "_items", "_touch")

    LOCKED: ClassVar = ("__contains__", "__len__", "clear", "get", "items", "reset")

    def __init__(
        self,
        factory: Callable[[], T],
        *,
        capacity: int = 1024,
        threadsafe: bool = False,  # by Lockable
    ) -> None:
        at_least("capacity", capacity, 1)
        self._factory = factory
        self._capacity: Final = capacity
        self._items: Final = OrderedDict[Hashable, T]()
        self._touch: Final[Callable[[Any], None]] = self._items.move_to_end

    def get(self, key: Hashable, /) -> T:
        """Return what ``key`` has, made now if it has nothing."""
        try:
            item = self._items[key]
        except KeyError:
            return self._make(key)
        self._touch(key)
        return item

    def items(self) -> list[tuple[Hashable, T]]:
        """Return the keys and what they have at this moment, least recently used first."""
        return list(self._items.items())

    def clear(self) -> None:
        """Forget everything; what is asked for again is made anew."""
        self._items.clear()

    def reset(self, factory: Callable[[], T], /) -> None:
        """Forget everything, and make things by ``factory`` from now on."""
        self._factory = factory
        self._items.clear()

    def __contains__(self, key: Hashable, /) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[T]:
        """Iterate over the things there are at this moment."""
        return iter([item for _, item in self.items()])

    def __len__(self) -> int:
        return len(self._items)

    def _make(self, key: Hashable) -> T:
        item = self._factory()
        if len(self._items) >= self._capacity:
            self._items.popitem(last=False)
        self._items[key] = item
        return item
