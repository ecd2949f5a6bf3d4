"""A source in memory, for tests and for values that a program computes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from kratos.config._interface import KeyValue, Source
from kratos.watch import Versioned, Watcher

__all__ = ["MemorySource"]


class MemorySource:
    """Holds a tree; watchers hear of each new one. One event loop.

    Args:
        tree: Nested mappings, lists, texts, numbers, booleans and ``None``.
        name: What ``str()`` shows.

    Raises:
        TypeError: A value is of another type.
        ValueError: A number is not finite, or a mapping holds itself.
    """

    __slots__ = ("_changed", "_entries", "_name", "_revision")

    def __init__(self, tree: Mapping[str, Any] | None = None, *, name: str = "memory") -> None:
        self._name = name
        self._revision = 0
        self._changed = asyncio.Event()
        self._entries = _entries({} if tree is None else tree)

    def __str__(self) -> str:
        return self._name

    def set(self, tree: Mapping[str, Any], /) -> None:
        """Put another tree in place of the present one; errors as of the constructor."""
        self.put(*_entries(tree))

    def put(self, *entries: KeyValue) -> None:
        """Put documents in place of what there is, for instance broken ones."""
        self._entries = entries
        self._revision += 1
        self.wake()

    def wake(self) -> None:
        """Let all who wait look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Open a watcher."""
        return _Watcher(self)

    def state(self) -> Versioned[Sequence[KeyValue]]:
        """Return the present entries."""
        return Versioned(value=self._entries, token=self._revision)

    async def wait(self) -> None:
        """Return after the next change."""
        await self._changed.wait()


def _entries(tree: Mapping[str, Any]) -> tuple[KeyValue, ...]:
    text = json.dumps(tree, allow_nan=False, default=_refuse)
    return (KeyValue(key="", value=text.encode(), format="json"),)


def _refuse(value: object) -> Any:
    if isinstance(value, Mapping):  # read-only ones of snapshots, for instance
        return dict(cast("Mapping[str, object]", value))
    raise TypeError(f"a configuration holds no {type(value).__name__}")


class _Watcher:
    def __init__(self, source: MemorySource) -> None:
        self._source = source
        self._closed = False

    async def read(self) -> Versioned[Sequence[KeyValue]]:
        return self._source.state()

    async def changed(self, since: object, /) -> Versioned[Sequence[KeyValue]] | None:
        while not self._closed:
            state = self._source.state()
            if state.token != since:
                return state
            await self._source.wait()
        return None

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._source.wake()


if TYPE_CHECKING:
    _source: type[Source] = MemorySource
