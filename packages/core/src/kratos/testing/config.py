"""A source of configuration in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kratos.config import KeyValue, Source
from kratos.errors import ConfigError
from kratos.watch import Versioned, Watcher

__all__ = ["MemorySource"]


class MemorySource:
    """Holds documents and entries that a test changes; watchers learn of it at once.

        source = MemorySource({"app.yaml": "greeting: hello"})
        source.put("app.yaml", "greeting: good day")

    Args:
        documents: Content by key. The end of the key says how it is read, as that of a file
            name: ``app.yaml`` is YAML, and a key without one is an entry of its own.

    Attributes:
        failure: What readers get instead of the content while it is set, as when the back end
            is away; watchers that wait are told by ``fail``.
    """

    def __init__(self, documents: Mapping[str, str | bytes] | None = None) -> None:
        self.failure: Exception | None = None
        self._entries: dict[str, KeyValue] = {}
        self._revision = 0
        self._changed = asyncio.Event()
        for key, content in (documents or {}).items():
            self.put(key, content)

    def __str__(self) -> str:
        return "memory source"

    def put(self, key: str, content: str | bytes, /, *, codec: str | None = None) -> None:
        """Set one document or entry.

        Args:
            key: Its name.
            content: Its text.
            codec: Name of the one that reads it; ``None`` for what the key's end says.
        """
        if codec is None:
            codec = key.rpartition(".")[2] if "." in key else ""
        value = content.encode() if isinstance(content, str) else content
        self._entries[key] = KeyValue(key=key, value=value, format=codec)
        self._wake()

    def remove(self, key: str, /) -> None:
        """Take a document or entry away.

        Raises:
            KeyError: There is none of that name.
        """
        del self._entries[key]
        self._wake()

    def fail(self, failure: Exception | None, /) -> None:
        """Let everything that is read fail from now on, or no longer; wakes those who wait."""
        self.failure = failure
        self._wake()

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Open a watcher; see ``kratos.config.Source``.

        Raises:
            Exception: ``failure``, while it is set.
        """
        if self.failure is not None:
            raise self.failure
        return _Watcher(self)

    def read(self) -> Versioned[Sequence[KeyValue]]:
        """Return everything, in the order in which it was put first (for watchers)."""
        if self.failure is not None:
            raise self.failure
        return Versioned(value=tuple(self._entries.values()), token=self._revision)

    async def wait(self) -> None:
        """Return after the next change (for watchers)."""
        await self._changed.wait()

    def wake(self) -> None:
        """Let all who wait look again (for watchers)."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _wake(self) -> None:
        self._revision += 1
        self.wake()


class _Watcher:
    def __init__(self, source: MemorySource) -> None:
        self._source = source
        self._closed = False

    async def read(self) -> Versioned[Sequence[KeyValue]]:
        return self._source.read()

    async def changed(self, since: object, /) -> Versioned[Sequence[KeyValue]] | None:
        while True:
            if self._closed:
                raise ConfigError(f"the watcher of {self._source} is closed")
            state = self._source.read()
            if state.token != since:
                return state
            await self._source.wait()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._source.wake()


if TYPE_CHECKING:
    _source: type[Source] = MemorySource
