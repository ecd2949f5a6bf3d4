"""Texts in any source of configuration that Kratos knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.config import KeyValue, Source
from kratos.errors import ConfigError
from kratos.limit import Limit, describe
from kratos.watch import Feed
from kratos_gateway.config.documents import Document, Documents, Reader

__all__ = ["SourceReader"]

_FORMATS: Final = ("yaml", "yml", "json", "")


class SourceReader:
    """Reads documents of a source, as ``kratos.config.from_url`` makes them; hears of changes.

    Args:
        source: Where they are.
        key: Key of the main one; empty if there is only one.
        priorities: Beginning of the keys of priority configurations; empty for none.
        timeout: Seconds for the first answer.
        clock: Time for that, and for trying again.
    """

    def __init__(
        self,
        source: Source,
        *,
        key: str = "",
        priorities: str = "",
        timeout: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._source = source
        self._key = key
        self._priorities = priorities
        self._timeout = timeout
        self._clock = clock
        self._feed: Feed[Sequence[KeyValue]] | None = None
        self._stir = asyncio.Event()

    def __str__(self) -> str:
        return str(self._source)

    async def read(self) -> Documents:
        """Return what the source last said; see ``Reader``."""
        feed = self._feed
        if feed is None:
            feed = self._feed = Feed(self._source.watch, name=str(self), clock=self._clock)
            feed.subscribe(lambda _: self._stir.set())
        limit = Limit(self._clock, self._timeout)
        try:
            async with limit:
                entries = await feed.first()
        except TimeoutError as error:
            why = describe(feed.last_error) if feed.last_error is not None else "it is silent"
            raise ConfigError(f"{self}: it says nothing: {why}") from error
        return self._documents(entries)

    async def changed(self) -> None:
        """Return when it has said something else; see ``Reader``."""
        await self._stir.wait()
        self._stir.clear()

    async def aclose(self) -> None:
        """Stop listening; see ``Reader``."""
        feed, self._feed = self._feed, None
        if feed is not None:
            await feed.aclose()

    def _documents(self, entries: Sequence[KeyValue]) -> Documents:
        prior = [each for each in entries if self._is_priority(each)]
        others = [each for each in entries if each not in prior]
        found = [each for each in others if each.key == self._key] if self._key else others
        if len(found) != 1:
            names = ", ".join(each.key for each in others) or "none"
            wanted = f"a document {self._key!r}" if self._key else "one document"
            raise ConfigError(f"{self}: {wanted} is expected, and there is: {names}; name its key")
        return Documents(
            main=self._document(found[0]),
            priorities=tuple(self._document(each) for each in sorted(prior, key=lambda e: e.key)),
        )

    def _is_priority(self, entry: KeyValue) -> bool:
        return bool(self._priorities) and entry.key.startswith(self._priorities)

    def _document(self, entry: KeyValue) -> Document:
        if entry.format not in _FORMATS:
            raise ConfigError(f"{self}: {entry.key} is {entry.format}, and not YAML or JSON")
        return Document(name=entry.key, content=entry.value)


if TYPE_CHECKING:
    _reader: type[Reader] = SourceReader
