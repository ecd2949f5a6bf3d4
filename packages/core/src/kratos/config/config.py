"""The configuration of a program: loaded from its sources, followed, changed as a whole."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from functools import partial
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.config._change import Change
from kratos.config._figures import Figures
from kratos.config._given import (
    Validator,
    checked_decoders,
    checked_validators,
    named_sources,
)
from kratos.config._interface import KeyValue, Observer, Participant, Prepared, Source
from kratos.config._last_good import LastGood
from kratos.config._leading import Leader, Leading
from kratos.config._snapshot import Snapshot
from kratos.config._states import States, handed_to
from kratos.config._tree import Builder, Tree
from kratos.config.formats import Decoder
from kratos.config.scan import require_kind, scan
from kratos.errors import ConfigError
from kratos.limit import Limit, cancel_and_wait, describe, is_cancelled_from_outside
from kratos.metrics import Meter
from kratos.options import require_methods, require_number
from kratos.watch import Feed

__all__ = ["Config", "Validator"]

T = TypeVar("T")
R = TypeVar("R")

_log = logging.getLogger("kratos.config")

_REST: Final = 9  # times what a change took: sources that change all the time get a tenth of it
_LONGEST_REST: Final = 5.0  # seconds


class Config:
    """Merges sources into one tree and keeps it up to date; an async context manager.

    A later source lies on top of an earlier one: mappings are merged key by key, all else is
    replaced. Then placeholders such as ``${server.port:8080}`` are replaced. The result is a
    ``Snapshot``, which never changes; a change in a source makes a new one, as a whole:

    1. it is read as ``schema``, and validators look at it,
    2. participants prepare for it, and each may wait or refuse,
    3. it becomes ``snapshot``, participants commit, observers are told.

    Whatever refuses it or fails before 3 leaves the old one in force: the participants that had
    prepared roll back, one line is logged, ``last_error`` says why, and ``config_reload_total``
    counts it. What changes meanwhile is part of the next round, which comes after a rest of nine
    times what this one took of the event loop, 5 s at most: no source can keep it busy. A source
    that cannot be reached later on keeps what it said last.

    All of it belongs to one event loop. Give it to ``App(config=config)``, or use ``async with``,
    and it is loaded first and closed last. An application with workers follows the sources in
    its supervisor alone, and a change is in force in all workers or in none.

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
        schema: A dataclass, pydantic model or protobuf message as which every state has to be
            readable, see ``scan``; one that is not is refused before anybody sees it.
        validators: Called with each new snapshot, in order.
        last_good: A file that keeps what sources said, so that a start succeeds while one of
            them cannot be reached. It is readable by its owner only.
        load_timeout: Seconds that a source may take at the start.
        prepare_timeout: Seconds that each participant may take to prepare, and to roll back.
        meter: Counts changes, and shows their age; by default that of the ``App``, if there is one.
        clock: Time for all waits.

    Raises:
        ConfigError: There is no source, one is none, a decoder or validator cannot be called, or
            a time is not positive.
    """

    def __init__(
        self,
        *sources: Source,
        decoders: Mapping[str, Decoder] | None = None,
        append: Collection[str] = (),
        actual_types: bool = False,
        required: bool = False,
        schema: type | None = None,
        validators: Sequence[Validator] = (),
        last_good: str | os.PathLike[str] | None = None,
        load_timeout: float = 10.0,
        prepare_timeout: float = 10.0,
        meter: Meter | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if isinstance(append, str):
            raise ConfigError("append must be a list of dotted keys, not one text")
        for name, seconds in (("load_timeout", load_timeout), ("prepare_timeout", prepare_timeout)):
            require_number(name, seconds, above=0)
        require_methods("meter", meter, "a meter", "counter")
        require_kind("schema", schema)
        self._sources = named_sources(sources)
        self._builder = Builder(
            decoders=checked_decoders(decoders),
            append=append,
            actual_types=actual_types,
            required=required,
        )
        self._schema = schema
        self._validators = checked_validators(validators)
        self._last_good = None if last_good is None else LastGood(last_good)
        self._took = 0.0  # seconds of the event loop, for the newest change
        self._load_timeout = load_timeout
        self._prepare_timeout = prepare_timeout
        self._figures = Figures(meter, clock)
        self._measured = meter is not None
        self._clock = clock
        self._states: dict[str, Sequence[KeyValue]] = {}
        self._given: tuple[States, int] | None = None  # by another process
        self._leader: Leader | None = None
        self._tree: Tree | None = None
        self._snapshot: Snapshot | None = None
        self._last_error: Exception | None = None
        self._observers: dict[object, tuple[str, Observer]] = {}
        self._participants: dict[object, Participant] = {}
        self._feeds: list[Feed[Sequence[KeyValue]]] = []
        self._dirty = asyncio.Event()
        self._loading = asyncio.Lock()
        self._closed = False
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
    def loaded(self) -> bool:
        """Whether there is a snapshot."""
        return self._snapshot is not None

    @property
    def last_error(self) -> Exception | None:
        """Why the newest change was refused; ``None`` after one that was applied."""
        return self._last_error

    @property
    def stale(self) -> Mapping[str, float]:
        """The sources that cannot be reached at present, and the clock time since when."""
        feeds = zip(self._sources, self._feeds, strict=False)  # fewer, while they are made
        return {name: feed.stale_since for name, feed in feeds if feed.stale_since is not None}

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
        return self._scanned(self._built(), self.snapshot, kind, key=key, strict=strict)

    def watch(self, key: str, observer: Observer, /) -> Callable[[], None]:
        """Call ``observer(old, new)`` after each change of what is under a dotted key.

        Coming, going and a change of type are changes; the key need not be there yet.

        Args:
            key: Dotted key; empty for every change.
            observer: Must not block; what it raises is logged.

        Returns:
            The way to stop watching; calling it again does nothing.

        Raises:
            TypeError: It cannot be called, or would have to be awaited.
        """
        given = cast("object", observer)
        if not callable(given) or iscoroutinefunction(given):
            raise TypeError(
                f"{observer!r} cannot observe {key!r}: pass a function (old, new) that is no "
                "async def; what has to wait is done by a participant, see join"
            )
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

    def read(self, kind: type[T], /, *, key: str = "", strict: bool = False) -> T:
        """Return a part of what the sources say now, for factories: without an event loop.

        Nothing is followed and nothing is kept, so the configuration is as it was before; give it
        to ``App(config=...)``. Sources are asked on an event loop that ends with the call. A caller
        on an event loop is held up for as long; it had better ``load`` and ``scan``. Within the
        factory of a worker this returns what its supervisor has in force.

        Args:
            kind: A dataclass, a pydantic model or a protobuf message.
            key: Dotted key of the part; empty for all of it.
            strict: Refuse keys that ``kind`` does not know.

        Raises:
            ConfigError: As ``load`` and ``scan``.
        """
        tree, snapshot = _run(self._read_once)
        return self._scanned(tree, snapshot, kind, key=key, strict=strict)

    async def load(self) -> Snapshot:
        """Read all sources side by side, and follow them from now on.

        Returns:
            The first snapshot; of a configuration that is loaded already, the present one.

        Raises:
            ConfigError: A source cannot be read, and ``last_good`` does not help; or what they
                say together is not valid.
            RuntimeError: It is, or was meanwhile, closed.

        Cancellation: leaves nothing open.
        """
        async with self._loading:  # asked for twice at once, it is done once
            self._check_open()
            if self._snapshot is not None:
                return self._snapshot
            states = await self._first_states()
            self._check_open()
            revision = 0
            if self._given is not None:  # it may have come while the sources were read
                states, revision = self._given
            tree, snapshot = self._built_of(states, revision)
            self._states = dict(states)
            self._tree, self._snapshot = tree, snapshot
            self._figures.loaded()
            _log.debug("configuration loaded, the weakest first: %s", ", ".join(states))
            if self._given is None:
                self._keep(self._states)
                self._follow()
            return snapshot

    async def aclose(self) -> None:
        """Stop following the sources, for good; the snapshot stays. Idempotent."""
        self._closed = True
        if self._task is not None:
            await cancel_and_wait(self._task)
            self._task = None
        feeds, self._feeds = self._feeds, []
        for feed in feeds:
            await feed.aclose()

    def check(self) -> None:
        """Do nothing while all is well: a check for ``Health.add_check``, where ``App`` adds it.

        Raises:
            ConfigError: The newest change was refused, a source cannot be reached, or nothing is
                followed any more.
        """
        if self._task is not None and self._task.done() and not self._closed:
            raise ConfigError("changes are followed no more: the task that did was ended")
        if self._last_error is not None:
            raise ConfigError(f"the newest change is refused: {describe(self._last_error)}")
        now = self._clock.time()
        away = [f"{name} for {now - since:.0f} s" for name, since in self.stale.items()]
        if away:
            raise ConfigError(f"not to be reached: {', '.join(away)}")

    def measure(self, meter: Meter, /) -> None:
        """Count in this meter, unless it was given one: for what runs an application."""
        if not self._measured:
            self._measured = True
            self._figures = Figures(meter, self._clock)

    def lead(self, leader: Leader, /) -> None:
        """Have other processes take part in each change: for what ties processes together.

        Participants that have joined until now are those of the factory, which the others have,
        too: there they are asked, and not here.
        """
        self._leader = leader
        self._participants.clear()

    @property
    def states(self) -> States:
        """What the sources said that ``snapshot`` is made of: for what ties processes together."""
        return self._built().states

    def follow(self, states: States, /, *, revision: int) -> None:
        """Take what another process has read, in place of the sources; it sends changes, too.

        For what ties processes together. Nothing is counted or kept: the other process does.

        Raises:
            RuntimeError: It is loaded.
        """
        if self._snapshot is not None:
            raise RuntimeError("the configuration is loaded: its changes are prepared")
        self._given = states, revision
        self._figures.mute()

    async def prepare(self, states: States, /, *, revision: int) -> Prepared:
        """Prepare for a change that another process has read; see ``follow``.

        Raises:
            Exception: It is refused.

        Cancellation: rolls back.
        """
        return await self._proposed(states, revision)

    def refuse(self, error: Exception, /) -> None:
        """Note that another process has refused a change, or that this one did."""
        self._last_error = error

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

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the configuration is closed: make another Config")

    async def _read_once(self) -> tuple[Tree, Snapshot]:
        states = handed_to([*self._sources])
        return self._built_of(await self._first_states() if states is None else states, 0)

    async def _first_states(self) -> States:
        """Return what all sources say, asked side by side."""
        if self._given is not None:
            return self._given[0]
        kept: States = {}
        if self._last_good is not None:
            kept = self._last_good.read()
        names = list(self._sources)
        reading = [asyncio.ensure_future(self._first(name, kept)) for name in names]
        try:
            states = await asyncio.gather(*reading)
        finally:
            await cancel_and_wait(*reading)  # the rest, if one has failed
        return dict(zip(names, states, strict=True))

    async def _first(self, name: str, kept: States) -> Sequence[KeyValue]:
        """Return what a source says, or said last."""
        try:
            async with Limit(self._clock, self._load_timeout):
                return tuple(await read(self._sources[name]))
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_cancelled_from_outside():
                raise
            if name not in kept:
                raise _unread(name, error, self._load_timeout) from error
            _log.warning(
                "%s cannot be read (%s): starting with what %s has of it",
                name,
                describe(error),
                self._last_good,
            )
            return kept[name]

    def _built_of(self, states: States, revision: int) -> tuple[Tree, Snapshot]:
        """Return what states make, if it is valid."""
        try:
            tree = self._builder.build(states)
            snapshot = Snapshot(tree.values, revision=revision)
            if self._schema is not None:
                self._scanned(tree, snapshot, self._schema)
            for validate in self._validators:
                validate(snapshot)
        except asyncio.CancelledError as error:  # nobody can cancel us where nothing is awaited
            raise ConfigError("what looks at the configuration was cancelled") from error
        return tree, snapshot

    def _scanned(
        self, tree: Tree, snapshot: Snapshot, kind: type[T], *, key: str = "", strict: bool = False
    ) -> T:
        sources = [*self._sources]
        return scan(snapshot, kind, key=key, strict=strict, origin=tree.origin, sources=sources)

    def _follow(self) -> None:
        for name, source in self._sources.items():
            feed = Feed(source.watch, name=f"configuration {name}", clock=self._clock)
            self._feeds.append(feed)
            feed.subscribe(partial(self._note, name), on_stale=self._note_stale)
        # It outlives whoever loads it: no request may lend it its context.
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="kratos-config", context=Context()
        )

    def _note(self, name: str, entries: Sequence[KeyValue]) -> None:
        state = tuple(entries)
        if self._states[name] != state:
            self._states[name] = state
            self._dirty.set()

    def _note_stale(self, _since: float | None) -> None:
        self._figures.stale(len(self.stale))

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            self._took = 0.0
            try:
                await self._apply()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_cancelled_from_outside():
                    raise
                # Later changes are followed all the same: without them a service grows old unseen.
                _log.error("a change of the configuration failed", exc_info=error)
            if self._took:
                await self._clock.sleep(min(_REST * self._took, _LONGEST_REST))

    async def _apply(self) -> None:
        states = dict(self._states)  # sources may say more while participants prepare
        try:
            proposed = await self._proposed(states, self.snapshot.revision + 1)
        except Exception as error:
            self.refuse(error)
            self._figures.refused()
            _log.error("a change of the configuration is refused: %s", describe(error))
            return
        before = self._snapshot
        proposed.commit()
        if self._snapshot is not before:
            _log.info("the configuration has changed")
        self._keep(states)

    async def _proposed(self, states: States, revision: int) -> _Proposed:
        old = self.snapshot
        begun = self._clock.time()
        try:
            tree, new = self._built_of(states, revision)
        finally:
            self._took = self._clock.time() - begun
        change = Change(old, new, clock=self._clock, timeout=self._prepare_timeout)
        if new != old:
            participants = [*self._participants.values()]
            if self._leader is not None:
                participants.append(Leading(self._leader, states))
            await change.prepare(participants)
        return _Proposed(change, partial(self._enact, change, tree, new))

    def _enact(self, change: Change, tree: Tree, new: Snapshot) -> None:
        changed = new != self.snapshot
        self._tree, self._last_error = tree, None
        if changed:
            self._snapshot = new
            change.commit(self._observers)
            self._figures.applied()

    def _keep(self, states: Mapping[str, Sequence[KeyValue]]) -> None:
        if self._last_good is None:
            return
        try:
            self._last_good.write(states)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._last_good, error.strerror)


class _Proposed:
    """A change that all who take part have prepared for."""

    def __init__(self, change: Change, enact: Callable[[], None]) -> None:
        self._change = change
        self._enact = enact

    def commit(self) -> None:
        self._enact()

    async def rollback(self) -> None:
        await self._change.roll_back()


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


def _unread(name: str, error: BaseException, seconds: float) -> ConfigError:
    if isinstance(error, ConfigError):
        return error
    if isinstance(error, TimeoutError):
        return ConfigError(f"{name}: no answer within {seconds:g} s")
    return ConfigError(f"{name}: it cannot be read: {describe(error)}")


def _run(work: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run something on an event loop of its own, also where one runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def _forget(table: dict[object, Any], token: object) -> None:
    table.pop(token, None)
