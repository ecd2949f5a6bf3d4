"""One feed for many users."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Generic, Self, TypeVar

from kratos.watch._feed import Feed

__all__ = ["Feeds", "Lease"]

T = TypeVar("T")


class Lease(Generic[T]):
    """The right to use a shared feed until ``aclose``; an async context manager.

    Attributes:
        feed: The feed; never close it directly.
    """

    __slots__ = ("_release", "feed")

    def __init__(self, feed: Feed[T], release: Callable[[], bool]) -> None:
        self.feed = feed
        self._release: Callable[[], bool] | None = release

    async def aclose(self) -> None:
        """Give the feed back; the last lease closes it. Idempotent."""
        release, self._release = self._release, None
        if release is not None and release():
            await self.feed.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class Feeds(Generic[T]):
    """Feeds by key: the first user opens one, the last closes it.

    So a service that twenty clients look up is watched once. All users share an event loop.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry[T]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def lease(self, key: Hashable, make: Callable[[], Feed[T]]) -> Lease[T]:
        """Return a lease of the feed under ``key``, made by ``make`` if there is none.

        Args:
            key: What is watched. A key with the ``id()`` of an object is safe while ``make``'s
                feed keeps that object alive.
            make: Called at most once, at once.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(make())
        entry.users += 1

        def release() -> bool:
            entry.users -= 1
            if entry.users:
                return False
            # Removed before it is closed: whoever comes meanwhile gets a fresh feed.
            del self._entries[key]
            return True

        return Lease(entry.feed, release)


class _Entry(Generic[T]):
    __slots__ = ("feed", "users")

    def __init__(self, feed: Feed[T]) -> None:
        self.feed = feed
        self.users = 0
