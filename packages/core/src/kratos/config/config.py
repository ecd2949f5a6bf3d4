"""The configuration of a program: loaded from its sources, followed, changed as a whole."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import Context
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.config._change import Change
from kratos.config._interface import KeyValue, Observer, Participant, Source
from kratos.config._last_good import LastGood
from kratos.config._snapshot import Snapshot
from kratos.config._tree import Builder, Tree
from kratos.config.formats import Decoder
from kratos.config.scan import scan
from kratos.errors import ConfigError
from kratos.limit import Limit, cancel_and_wait, describe
from kratos.metrics import Meter, NopMeter
from kratos.watch import Feed

__all__ = ["Config", "Validator"]

T = TypeVar("T")

Validator = Callable[[Snapshot], object]
"""Looks at a new configuration before anything acts on it, and refuses it by raising."""

_log = logging.getLogger("kratos.config")


class Config:
    """Merges sources into one tree and keeps it up to date; an async context manager.

    A later source lies on top of an earlier one: mappings are merged key by key, all else is
    replaced. Then placeholders such as ``${server.port:8080}`` are replaced. The result is a
    ``Snapshot``, which never changes; a change in a source makes a new one, as a whole:

    1. validators look at it,
    2. participants prepare for it, and each may wait or refuse,
    3. it becomes ``snapshot``, participants commit, observers are told.

    Whatever refuses it or fails before 3 leaves the old one in force: the participants that had
    prepared roll back, one line is logged, ``last_error`` says why, and ``config_changes_total``
    counts it. What changes meanwhile is part of the next round. A source that cannot be reached
    later on keeps what it said last.

    All of it belongs to one event loop. Give it to ``App(resources=[config])``, or use
    ``async with``, and it is loaded first and closed last.

    Source: Go Kratos ``config``. Unlike there, keys may go away and change their type, several
    observers may watch one key, and a bad change changes nothing.

    Args:
        sources: The weakest first.
        decoders: Formats besides, or in place of, those that come with Kratos, by name.
        append: Dotted keys whose lists are joined instead of replaced.
        actual_types: A text that is one placeholder becomes the value that it names, with its
            type (Go: ``WithResolveActualTypes``).
        required: A placeholder without a default whose key is nowhere is an error; else it is
            empty, as in Go, and logged.
        validators: Called with each new snapshot, in order.
        last_good: A file that keeps what sources said, so that a start succeeds while one of
            them cannot be reached. It is readable by its owner only.
        load_timeout: Seconds that a source may take at the start.
        prepare_timeout: Seconds that each participant may take to prepare.
        meter: Counts changes.
        clock: Time for all waits.

    Raises:
        ConfigError: There is no source, one is none, or a time is not positive.
    """

    def __init__(
        self,
        *sources: Source,
        decoders: Mapping[str, Decoder] | None = None,
        append: Collection[str] = (),
        actual_types: bool = False,
        required: bool = False,
        validators: Sequence[Validator] = (),
        last_good: str | os.PathLike[str] | None = None,
        load_timeout: float = 10.0,
        prepare_timeout: float = 10.0,
        meter: Meter | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not sources:
            raise ConfigError("a Config needs a source, for instance FileSource('configs')")
        for at, source in enumerate(sources):
            if not callable(getattr(source, "watch", None)):
                raise ConfigError(f"sources[{at}]: {_no_source(source)}")
        if isinstance(append, str):
            raise ConfigError("append must be a list of dotted keys, not one text")
        if load_timeout <= 0 or prepare_timeout <= 0:
            raise ConfigError("load_timeout and prepare_timeout must be positive")
        self._sources = dict(zip(_names(sources), sources, strict=True))
        self._builder = Builder(
            decoders=decoders or {},
            append=append,
            actual_types=actual_types,
            required=required,
        )
        self._validators = tuple(validators)
        self._last_good = None if last_good is None else LastGood(last_good)
        self._load_timeout = load_timeout
        self._prepare_timeout = prepare_timeout
        self._changes: Final = (meter or NopMeter()).counter(
            "config_changes_total",
            description="Changes of the configuration, by what became of them.",
            labels=("result",),
        )
        self._clock = clock
        self._states: dict[str, Sequence[KeyValue]] = {}
        self._tree: Tree | None = None
        self._snapshot: Snapshot | None = None
        self._last_error: Exception | None = None
        self._observers: dict[object, tuple[str, Observer]] = {}
        self._participants: dict[object, Participant] = {}
        self._feeds: list[Feed[Sequence[KeyValue]]] = []
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The configuration in force.

        Raises:
            RuntimeError: It was not loaded yet.
        """
        if self._snapshot is None:
            raise RuntimeError("the configuration is not loaded yet: await config.load()")
        return self._snapshot

    @property
    def last_error(self) -> Exception | None:
        """Why the newest change was refused; ``None`` after one that was applied."""
        return self._last_error

    @property
    def stale(self) -> Mapping[str, float]:
        """The sources that cannot be reached at present, and the clock time since when."""
        return {feed.name: feed.stale_since for feed in self._feeds if feed.stale_since is not None}

    def origins(self) -> Mapping[str, str]:
        """Return which document each value comes from, by dotted key.

        Raises:
            RuntimeError: It was not loaded yet.
        """
        return self._built().origins()

    def scan(self, kind: type[T], /, *, key: str = "", strict: bool = False) -> T:
        """Return a part of the configuration as a typed value.

        Args:
            kind: A dataclass, a pydantic model or a protobuf message.
            key: Dotted key of the part; empty for all of it.
            strict: Refuse keys that ``kind`` does not know.

        Raises:
            ConfigError: A value does not fit; the message names key, expected type and document,
                and never the value, as it may be a secret.
            RuntimeError: It was not loaded yet.
        """
        return scan(self.snapshot, kind, key=key, strict=strict, origin=self._built().origin)

    def watch(self, key: str, observer: Observer, /) -> Callable[[], None]:
        """Call ``observer(old, new)`` after each change of what is under a dotted key.

        Coming, going and a change of type are changes; the key need not be there yet.

        Args:
            key: Dotted key; empty for every change.
            observer: Must not block; what it raises is logged.

        Returns:
            The way to stop watching; calling it again does nothing.
        """
        token = object()
        self._observers[token] = (key, observer)
        return lambda: _forget(self._observers, token)

    def join(self, participant: Participant, /) -> Callable[[], None]:
        """Let a participant take part in all changes from now on.

        Returns:
            The way to leave; calling it again does nothing.

        Raises:
            TypeError: It is none.
        """
        if not callable(getattr(participant, "prepare", None)):
            raise TypeError(f"{participant!r} cannot take part: it has no prepare(old, new)")
        token = object()
        self._participants[token] = participant
        return lambda: _forget(self._participants, token)

    async def load(self) -> Snapshot:
        """Read all sources side by side, and follow them from now on.

        Returns:
            The first snapshot; of a configuration that is loaded already, the present one.

        Raises:
            ConfigError: A source cannot be read, and ``last_good`` does not help; or what they
                say together is not valid.

        Cancellation: leaves nothing open.
        """
        if self._snapshot is not None:
            return self._snapshot
        kept: Mapping[str, Sequence[KeyValue]] = {}
        if self._last_good is not None:
            kept = self._last_good.read()
        names = list(self._sources)
        reading = [asyncio.ensure_future(self._first(name, kept)) for name in names]
        try:
            states = await asyncio.gather(*reading)
        finally:
            await cancel_and_wait(*reading)  # the rest, if one has failed
        self._states = dict(zip(names, states, strict=True))
        tree = self._builder.build(self._states.items())
        snapshot = Snapshot(tree.values)
        for validate in self._validators:
            validate(snapshot)
        self._tree, self._snapshot = tree, snapshot
        self._keep(self._states)
        self._follow()
        return snapshot

    async def aclose(self) -> None:
        """Stop following the sources; the snapshot stays. Idempotent."""
        if self._task is not None:
            await cancel_and_wait(self._task)
            self._task = None
        feeds, self._feeds = self._feeds, []
        for feed in feeds:
            await feed.aclose()

    async def __aenter__(self) -> Self:
        await self.load()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _built(self) -> Tree:
        if self._tree is None:
            raise RuntimeError("the configuration is not loaded yet: await config.load()")
        return self._tree

    async def _first(self, name: str, kept: Mapping[str, Sequence[KeyValue]]) -> Sequence[KeyValue]:
        """Return what a source says, or said last."""
        try:
            async with Limit(self._clock, self._load_timeout):
                return tuple(await read(self._sources[name]))
        except Exception as error:
            if name not in kept:
                raise _unread(name, error, self._load_timeout) from error
            _log.warning(
                "%s cannot be read (%s): starting with what %s has of it",
                name,
                describe(error),
                self._last_good,
            )
            return kept[name]

    def _follow(self) -> None:
        for name, source in self._sources.items():
            feed = Feed(source.watch, name=f"configuration {name}", clock=self._clock)
            self._feeds.append(feed)
            feed.subscribe(partial(self._note, name))
        # It outlives whoever loads it: no request may lend it its context.
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="kratos-config", context=Context()
        )

    def _note(self, name: str, entries: Sequence[KeyValue]) -> None:
        state = tuple(entries)
        if self._states[name] != state:
            self._states[name] = state
            self._dirty.set()

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._apply()

    async def _apply(self) -> None:
        old = self.snapshot
        states = dict(self._states)  # sources may say more while participants prepare
        try:
            tree = self._builder.build(states.items())
            new = Snapshot(tree.values, revision=old.revision + 1)
            if new == old:
                self._tree = tree
                self._last_error = None
                return
            change = Change(old, new, validators=self._validators)
            await change.prepare(
                tuple(self._participants.values()), self._clock, self._prepare_timeout
            )
        except Exception as error:
            self._last_error = error
            self._changes.labels("refused").inc()
            _log.error("a change of the configuration is refused: %s", describe(error))
            return
        self._tree, self._snapshot, self._last_error = tree, new, None
        change.commit(tuple(self._observers.values()))
        self._changes.labels("applied").inc()
        self._keep(states)

    def _keep(self, states: Mapping[str, Sequence[KeyValue]]) -> None:
        if self._last_good is None:
            return
        try:
            self._last_good.write(states)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._last_good, error.strerror)


async def read(source: Source) -> Sequence[KeyValue]:
    """Return what a source says, by one read (Go: ``Source.Load``).

    Raises:
        ConfigError: What it was told to read cannot be read.
        ConnectionError: The back end did not answer.

    Cancellation: leaves nothing open.
    """
    watcher = await source.watch()
    try:
        return (await watcher.read()).value
    finally:
        await watcher.aclose()


def _no_source(given: object) -> str:
    # It may be the configuration itself, secrets and all, and is not shown.
    if isinstance(given, str | os.PathLike):
        return "a path is no source; write FileSource(path)"
    if isinstance(given, Mapping):
        return "a mapping is no source; write MemorySource.of(mapping)"
    return f"an object of type {type(given).__name__} is no source: it has no watch()"


def _names(sources: Sequence[Source]) -> list[str]:
    """Name sources, in logs and in the file of the last good state; equal names get numbers."""
    names: list[str] = []
    for source in sources:
        name = base = str(source)
        number = 2
        while name in names:
            name = f"{base} ({number})"
            number += 1
        names.append(name)
    return names


def _unread(name: str, error: Exception, seconds: float) -> ConfigError:
    if isinstance(error, ConfigError):
        return error
    if isinstance(error, TimeoutError):
        return ConfigError(f"{name}: no answer within {seconds:g} s")
    return ConfigError(f"{name}: it cannot be read: {describe(error)}")


def _forget(table: dict[object, Any], token: object) -> None:
    table.pop(token, None)
