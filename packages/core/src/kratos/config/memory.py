"""A source in memory, for tests and for values that a program computes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, cast

from kratos.config._interface import KeyValue, Source, format_of
from kratos.errors import ConfigError
from kratos.watch import Versioned, Watcher

__all__ = ["MemorySource"]

_TREE: Final = ""  # key of the document that ``set`` makes


class MemorySource:
    """Holds documents and entries; watchers hear of each change at once. One event loop.

        source = MemorySource({"app.yaml": "greeting: hello"})
        source.put("app.yaml", "greeting: good day")

    Args:
        documents: Content by key. The end of the key says how it is read, as that of a file
            name: ``app.yaml`` is YAML, and a key without one is an entry of its own.
        name: What ``str()`` shows.

    Attributes:
        failure: What readers get instead of the content while it is set, as when the back end
            is away; watchers that wait are told by ``fail``.
    """

    def __init__(
        self, documents: Mapping[str, str | bytes] | None = None, *, name: str = "memory"
    ) -> None:
        self.failure: Exception | None = None
        self._name = name
        self._entries: dict[str, KeyValue] = {}
        self._revision = 0
        self._changed = asyncio.Event()
        for key, content in (documents or {}).items():
            self.put(key, content)

    @classmethod
    def of(cls, tree: Mapping[str, Any], *, name: str = "memory") -> Self:
        """Return a source that holds a tree; errors as of ``set``."""
        source = cls(name=name)
        source.set(tree)
        return source

    def __str__(self) -> str:
        return self._name

    def set(self, tree: Mapping[str, Any], /) -> None:
        """Put a tree in place of all that there is.

        Args:
            tree: Nested mappings, lists, texts, numbers, booleans and ``None``.

        Raises:
            TypeError: A value is of another type.
            ValueError: A number is not finite, or a mapping holds itself.
        """
        text = json.dumps(tree, allow_nan=False, default=_plain)
        self._entries = {_TREE: KeyValue(key=_TREE, value=text.encode(), format="json")}
        self._wake()

    def put(self, key: str, content: str | bytes, /, *, format: str | None = None) -> None:  # noqa: A002 - the word of KeyValue
        """Set one document or entry.

        Args:
            key: Its name.
            content: Its text.
            format: Name of what reads it; ``None`` for what the key's end says.

        Raises:
            TypeError: The content is neither text nor bytes.
        """
        if not isinstance(content, str | bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"{key}: a document is text or bytes, not {type(content).__name__}; "
                "write MemorySource.of(tree) for a tree"
            )
        if format is None:
            format = format_of(key)  # noqa: A001
        value = content.encode() if isinstance(content, str) else content
        self._entries = {
            **self._entries,
            key: KeyValue(key=key, value=value, format=format),
        }
        self._wake()

    def remove(self, key: str, /) -> None:
        """Take a document or entry away.

        Raises:
            KeyError: There is none of that name.
        """
        entries = dict(self._entries)
        del entries[key]
        self._entries = entries
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


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):  # read-only ones of snapshots, for instance
        return dict(cast("Mapping[str, object]", value))
    raise TypeError(f"a configuration holds no {type(value).__name__}")


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
