"""A configuration that is followed: read at first, and again when its texts change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.limit import Limit, cancel_and_wait, describe, one_line
from kratos.options import require_number
from kratos_gateway.api.gateway_pb2 import Gateway, PriorityConfig
from kratos_gateway.collecting import uncollected
from kratos_gateway.config.documents import Document, Documents, Reader
from kratos_gateway.config.load import read
from kratos_gateway.config.oddity import Oddity
from kratos_gateway.config.priority import merge
from kratos_gateway.config.slowness import slow_expressions

__all__ = ["INTERVAL", "Apply", "Configuration"]

_log = logging.getLogger("kratos.gateway")

INTERVAL: Final = 5.0
"""Seconds between two looks, as in Go."""

_ANCHOR: Final = b"&"
_LARGE: Final = 64 * 1024  # bytes that take a few milliseconds

_Priorities: TypeAlias = "dict[str, PriorityConfig]"

Apply: TypeAlias = Callable[[Gateway], Awaitable[None]]
"""Puts a configuration in force, or raises and leaves the old one there."""


class Configuration:
    """Reads a configuration, and tells of each change of its texts.

    A text that cannot be read, or that is refused, changes nothing: what was in force stays, the
    log says why, and it is tried again at the next look. So does a priority configuration that
    cannot be read: what it said before stays.

    Args:
        reader: Where the texts are.
        interval: Seconds between two looks.
        clock: Time between them.
        environ: Variables for placeholders; ``None`` for those of the process.

    Raises:
        ConfigError: The interval is not positive.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        interval: float = INTERVAL,
        clock: Clock = SYSTEM_CLOCK,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        require_number("interval", interval, above=0)
        self._reader = reader
        self._interval = interval
        self._clock = clock
        self._environ = environ
        self._priorities: _Priorities = {}
        self._in_force: Documents | None = None
        self._understood: tuple[object, _Parsed | ConfigError] | None = None
        self._told = ""
        self._poked = asyncio.Event()

    def __str__(self) -> str:
        return str(self._reader)

    async def load(self) -> Gateway:
        """Return what the texts say now; what is in force is left alone.

        Raises:
            ConfigError: The main text cannot be had or read.
        """
        return (await self._parse(await self._reader.read())).whole

    async def pending(self) -> Gateway | None:
        """Return what the texts say now; ``None`` if they are those in force, which is soon told.

        Raises:
            ConfigError: As of ``load``.
        """
        documents = await self._reader.read()
        before = self._in_force
        if before is not None and documents.digests == before.digests:
            return None
        return (await self._parse(documents)).whole

    async def begin(self) -> Gateway:
        """Return what is to be in force first; ``follow`` tells of what differs from it.

        Raises:
            ConfigError: As of ``load``.
        """
        documents = await self._reader.read()
        loaded = await self._parse(documents)
        self._in_force, self._priorities = documents, loaded.priorities
        return loaded.whole

    async def follow(self, apply: Apply, /) -> None:
        """Apply what changes, until cancelled.

        Cancellation: what is being applied is cancelled.
        """
        while True:
            await self._pause()
            await self._look(apply)

    def poke(self) -> None:
        """Look at once: something is known to have changed."""
        self._poked.set()

    async def aclose(self) -> None:
        """Give back what reading holds. Idempotent."""
        await self._reader.aclose()

    def inspect(self) -> Mapping[str, Any]:
        """Return what Go's gateway tells of its own, under its names."""
        found = self._in_force
        return {
            "confPath": str(self._reader),
            "confSha256": "" if found is None else found.main.digest,
            "priorityConfigHash": {} if found is None else dict(found.digests[1]),
            "onChangeHandlers": 1,
        }

    async def _look(self, apply: Apply) -> None:
        try:
            documents = await self._reader.read()
            before = self._in_force
            if before is not None and documents.digests == before.digests:
                self._told = ""
                return
            parsed = await self._understand(documents)
            await apply(parsed.whole)
        except Exception as error:
            self._tell(error)
            return
        self._in_force, self._priorities = documents, parsed.priorities
        self._understood = None
        self._told = ""

    def _tell(self, error: Exception) -> None:
        text = one_line(str(error)) if isinstance(error, ConfigError) else describe(error)
        if text != self._told:  # else it has been told, and is true every few seconds
            self._told = text
            _log.error("the configuration stays as it was: %s", text)

    async def _understand(self, documents: Documents) -> _Parsed:
        """Return what texts say; those that were read at the last look are not read again."""
        digests = documents.digests
        if self._understood is None or self._understood[0] != digests:
            try:
                self._understood = digests, await self._parse(documents)
            except ConfigError as error:
                self._understood = digests, error
        found = self._understood[1]
        if isinstance(found, ConfigError):
            raise found.with_traceback(None)
        return found

    async def _parse(self, documents: Documents) -> _Parsed:
        contents = [each.content for each in (documents.main, *documents.priorities)]
        if sum(map(len, contents)) < _LARGE and not any(_ANCHOR in each for each in contents):
            return self._parsed(documents)
        # Thousands of endpoints take a while, in which requests are served; so do a few lines
        # that stand for millions by their aliases.
        with uncollected():
            return await asyncio.to_thread(self._parsed, documents)

    def _parsed(self, documents: Documents) -> _Parsed:
        text, name = _text(documents.main), documents.main.name
        parsed = read(text, Gateway, name=name, environ=self._environ)
        _warn_of_odd(name, parsed.oddities)
        message = parsed.message
        _warn_of_slow(name, slow_expressions(message.endpoints, message.middlewares))
        names = {each.name for each in documents.priorities}
        kept = {name: each for name, each in self._priorities.items() if name in names}
        for each in documents.priorities:
            try:
                prior = read(_text(each), PriorityConfig, name=each.name, environ=self._environ)
            except ConfigError as error:
                stays = "what it said before stays" if each.name in kept else "it is left out"
                why = one_line(str(error))
                _log.warning("a priority configuration cannot be read, %s: %s", stays, why)
            else:
                kept[each.name] = prior.message
                _warn_of_odd(each.name, prior.oddities)
                _warn_of_slow(each.name, slow_expressions(kept[each.name].endpoints))
        return _Parsed(merge(message, [kept[name] for name in sorted(kept)]), kept)

    async def _pause(self) -> None:
        """Wait until it is time to look, or somebody says so."""
        waits = [asyncio.ensure_future(each) for each in (self._reader.changed(), self._poke())]
        limit = Limit(self._clock, self._interval)
        try:
            async with limit:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            if not limit.expired:
                raise
        finally:
            await cancel_and_wait(*waits)

    async def _poke(self) -> None:
        await self._poked.wait()
        self._poked.clear()


def _warn_of_odd(name: str, oddities: Iterable[Oddity]) -> None:
    for each in oddities:
        _log.warning("%s: %s", name, one_line(f"{each.place}: {each.text}"))


def _warn_of_slow(name: str, slow: Iterable[tuple[str, str]]) -> None:
    for place, text in slow:
        _log.warning("%s: %s", name, one_line(f"{place}: {text}"))


class _Parsed(NamedTuple):
    """A configuration, and the priority configurations that are part of it, by name."""

    whole: Gateway
    priorities: _Priorities


def _text(document: Document) -> str:
    try:
        return document.text
    except UnicodeDecodeError as error:
        raise ConfigError(f"{document.name}: it is not UTF-8: {error}") from error
