"""The contract of sources of configuration, as a suite that every adapter's tests run.

Derive a test class from ``SourceContract`` and give it a fixture ``backend``::

    class TestEtcd(SourceContract):
        @pytest.fixture
        async def backend(self, etcd: Address) -> AsyncIterator[SourceBackend]:
            async with FaultProxy(etcd.host, etcd.port) as proxy:
                yield SourceBackend(source=EtcdSource(...), make=lambda: EtcdSource(...), ...)

A place has documents, whose names end in ``.json`` here. The suite uses real time, but waits for
events only. ``pytest.register_assert_rewrite`` on this module, in a ``conftest.py``, makes failures
speak.
"""

from __future__ import annotations

import asyncio
import json
import threading
import unittest
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from aegis.backoff import Backoff
from kratos.config import Config, KeyValue, Snapshot, Source
from kratos.config.config import read
from kratos.testing.faults import Faults
from kratos.watch import Feed, Versioned, Watcher

__all__ = ["SourceBackend", "SourceContract"]

_QUICK: Final = Backoff(base=0.2, cap=0.5)
_LARGE: Final = 100_000  # characters; the least that a back end takes in one value is more


@dataclass(kw_only=True)
class SourceBackend:
    """What an adapter's tests give to the suite: a place that is empty.

    Attributes:
        source: The adapter under test, over the line that ``faults`` disturbs.
        make: Makes one more, undisturbed source of the same place.
        put: Sets a document, from outside and undisturbed; ``None`` where nothing ever changes,
            and then the place holds what ``holds`` says.
        remove: Takes one away.
        holds: Keys and values of a place that never changes.
        faults: The line; ``None`` leaves out the tests of faults.
        secret: What the source was given to reach its place, and must show nobody.
    """

    source: Source
    make: Callable[[], Source]
    put: Callable[[str, bytes], Awaitable[None]] | None = None
    remove: Callable[[str], Awaitable[None]] | None = None
    holds: Mapping[str, bytes] | None = None
    faults: Faults | None = None
    secret: str = ""


class _Sightings:
    """All states of a source that a feed has published."""

    def __init__(self, patience: float) -> None:
        self.states: list[dict[str, bytes]] = []
        self._patience = patience
        self._moved = asyncio.Event()

    def see(self, entries: Sequence[KeyValue]) -> None:
        self.states.append(_by_name(entries))
        self._moved.set()

    async def until(self, **expected: int) -> None:
        """Return when the newest state has exactly these documents."""
        wanted = {f"{name}.json": _document(value) for name, value in expected.items()}
        try:
            async with asyncio.timeout(self._patience):
                while not self.states or self.states[-1] != wanted:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise AssertionError(f"expected {wanted}, saw {self.states[-3:]}") from None


class SourceContract:
    """Tests of everything that the core relies on.

    Attributes:
        patience: Seconds to wait for the place before a test fails.
        limit: Seconds for one call of the watch loop.
    """

    patience: ClassVar[float] = 15.0
    limit: ClassVar[float] = 1.0

    # --- reading

    async def test_documents_are_read_as_they_are(self, backend: SourceBackend) -> None:
        """Bytes arrive as they were put, with a name whose end is their format."""
        texts = {"plain": '"a"', "unicode": '"größe 你好 🙂"', "large": json.dumps("x" * _LARGE)}
        put = self.putting(backend)
        for name, text in texts.items():
            await put(f"{name}.json", text.encode())

        entries = await read(backend.source)

        assert _by_name(entries) == {f"{name}.json": text.encode() for name, text in texts.items()}
        assert {entry.format for entry in entries} == {"json"}

    async def test_place_that_never_changes_is_read_as_it_is(self, backend: SourceBackend) -> None:
        """Entries without a format are single values, under dotted keys."""
        if backend.holds is None:
            raise unittest.SkipTest("the place changes")

        entries = await read(backend.source)

        assert {entry.key: entry.value for entry in entries} == backend.holds

    async def test_empty_place_is_a_value(self, backend: SourceBackend) -> None:
        """Nothing there is a state like others, not an error."""
        self.putting(backend)

        assert list(await read(backend.source)) == []

    async def test_order_is_the_same_at_each_read(self, backend: SourceBackend) -> None:
        """Later entries lie on top of earlier ones, so an order that moves is a change."""
        if backend.put is not None:
            for name in ("b", "a", "c"):
                await backend.put(f"{name}.json", _document(1))

        first, again = await read(backend.source), await read(backend.make())

        assert list(first) == list(again)

    async def test_states_can_be_compared(self, backend: SourceBackend) -> None:
        """The core drops what did not change; that needs equality of what was read."""
        watcher = await backend.source.watch()
        first, again = await watcher.read(), await watcher.read()
        await watcher.aclose()

        assert list(first.value) == list(again.value)

    async def test_nobody_is_shown_secrets(self, backend: SourceBackend) -> None:
        """Neither values nor what opens the place: names of sources are in logs and origins."""
        if backend.put is not None:
            await backend.put("app.json", b'"hunter2"')

        entries = await read(backend.source)

        shown = f"{backend.source} {backend.source!r} {entries!r}"
        assert "hunter2" not in shown
        assert not backend.secret or backend.secret not in shown

    async def test_name_is_the_same_in_every_process(self, backend: SourceBackend) -> None:
        """What a source said last is kept on disk by its name."""
        assert str(backend.make()) == str(backend.make())
        assert " object at 0x" not in str(backend.make())

    # --- changes

    async def test_additions_changes_and_removals_are_seen(self, backend: SourceBackend) -> None:
        """All three, until the place is empty again."""
        put, remove = self.putting(backend), self.removing(backend)
        async with self.watching(backend.source) as seen:
            await seen.until()
            await put("a.json", _document(1))
            await seen.until(a=1)
            await put("b.json", _document(1))
            await seen.until(a=1, b=1)
            await put("a.json", _document(2))
            await seen.until(a=2, b=1)
            await remove("a.json")
            await seen.until(b=1)
            await remove("b.json")
            await seen.until()

    async def test_change_after_a_read_is_not_missed(self, backend: SourceBackend) -> None:
        """Whatever comes between ``read`` and ``changed``."""
        put = self.putting(backend)
        watcher = await backend.source.watch()
        state = await watcher.read()
        await put("a.json", _document(1))

        assert await self.next(watcher, state) == {"a.json": _document(1)}
        await watcher.aclose()

    async def test_nothing_is_told_while_nothing_changes(self, backend: SourceBackend) -> None:
        """``changed`` waits: one that returns at once would be asked again at once."""
        watcher = await backend.source.watch()
        state = await watcher.read()
        waiting = asyncio.ensure_future(watcher.changed(state.token))
        for _ in range(50):
            await asyncio.sleep(0)

        assert not waiting.done()
        await watcher.aclose()
        await self.ends(waiting)

    async def test_many_changes_end_in_the_last_one(self, backend: SourceBackend) -> None:
        """States in between may be passed over, and none may come after a newer one."""
        put = self.putting(backend)
        async with self.watching(backend.source) as seen:
            await seen.until()
            for value in range(20):
                await put("a.json", _document(value))
            await seen.until(a=19)
            numbers = [int(state["a.json"]) for state in seen.states if "a.json" in state]
            assert numbers == sorted(numbers)

    async def test_watchers_are_independent(self, backend: SourceBackend) -> None:
        """Closing one leaves the others."""
        put = self.putting(backend)
        first, second = await backend.source.watch(), await backend.source.watch()
        await first.read()
        state = await second.read()
        await first.aclose()
        await put("a.json", _document(1))

        assert await self.next(second, state) == {"a.json": _document(1)}
        await second.aclose()

    # --- endings

    async def test_closing_a_watcher_ends_its_pending_wait(self, backend: SourceBackend) -> None:
        """``changed`` returns or raises; it does not wait for ever."""
        watcher = await backend.source.watch()
        state = await watcher.read()
        waiting = asyncio.ensure_future(watcher.changed(state.token))
        await asyncio.sleep(0)

        await watcher.aclose()
        await watcher.aclose()

        await self.ends(waiting)

    async def test_cancelled_wait_leaves_the_watcher_usable(self, backend: SourceBackend) -> None:
        """The core cancels ``changed`` to read again."""
        put = self.putting(backend)
        watcher = await backend.source.watch()
        state = await watcher.read()
        waiting = asyncio.ensure_future(watcher.changed(state.token))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await put("a.json", _document(1))

        assert await self.next(watcher, state) == {"a.json": _document(1)}
        await watcher.aclose()

    async def test_cancelled_watch_leaves_nothing_open(self, backend: SourceBackend) -> None:
        """Cancelled at any point, neither tasks nor threads stay."""
        await self.read_once(backend)
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        for turns in range(10):
            opening = asyncio.ensure_future(backend.source.watch())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait({opening})
            if not opening.cancelled():
                await opening.result().aclose()

        assert asyncio.all_tasks() - tasks == set()
        assert set(threading.enumerate()) - threads == set()

    async def test_nothing_is_left_running(self, backend: SourceBackend) -> None:
        """Neither tasks nor threads, after a life with changes."""
        await self.read_once(backend)
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        async with self.watching(backend.source) as seen:
            if backend.put is not None:
                await backend.put("a.json", _document(1))
                await seen.until(a=1)

        # Tasks of a client library may have to see their calls end.
        await self.holds(lambda: asyncio.all_tasks() - tasks == set(), "there are tasks left")
        assert set(threading.enumerate()) - threads == set()

    # --- the configuration over it

    async def test_configuration_follows_and_keeps_what_was_good(
        self, backend: SourceBackend
    ) -> None:
        """A bad document changes nothing, and a good one after it everything."""
        put, remove = self.putting(backend), self.removing(backend)
        await put("app.json", b'{"a": 1, "b": 1}')
        async with Config(backend.source) as config:
            changed = asyncio.Event()

            def note(_old: Snapshot, _new: Snapshot) -> None:
                changed.set()

            config.watch("", note)
            assert dict(config.snapshot.tree) == {"a": 1, "b": 1}
            await put("app.json", b'{"a": ')
            await self.holds(lambda: config.last_error is not None)
            assert dict(config.snapshot.tree) == {"a": 1, "b": 1}
            await put("app.json", b'{"a": 2}')
            async with asyncio.timeout(self.patience):
                await changed.wait()
            assert dict(config.snapshot.tree) == {"a": 2}
            await remove("app.json")
            await self.holds(lambda: dict(config.snapshot.tree) == {})

    # --- faults

    async def test_source_converges_after_a_cut(self, backend: SourceBackend) -> None:
        """What changed meanwhile arrives; what was known stays known."""
        faults, put, remove = self.disturbing(backend)
        await put("a.json", _document(1))
        async with self.watching(backend.source) as seen:
            await seen.until(a=1)
            faults.cut()
            await put("b.json", _document(2))
            await remove("a.json")
            faults.restore()
            await seen.until(b=2)
            assert {} not in seen.states

    async def test_source_converges_after_resets(self, backend: SourceBackend) -> None:
        """Each broken wait is followed by a fresh read."""
        faults, put, _ = self.disturbing(backend)
        async with self.watching(backend.source) as seen:
            await seen.until()
            for value in range(1, 4):
                faults.reset()
                await put("a.json", _document(value))
                await seen.until(a=value)

    async def test_source_converges_after_silence(self, backend: SourceBackend) -> None:
        """A dead line answers nothing; attempts have limits, and the next one works."""
        faults, put, _ = self.disturbing(backend)
        faults.stall()
        async with self.watching(backend.source) as seen:
            await put("a.json", _document(1))
            await asyncio.sleep(self.limit)
            faults.restore()
            await seen.until(a=1)

    async def test_source_works_over_a_slow_line(self, backend: SourceBackend) -> None:
        """Slow is not broken."""
        faults, put, _ = self.disturbing(backend)
        faults.delay(0.02)
        async with self.watching(backend.source) as seen:
            await put("a.json", _document(1))
            await seen.until(a=1)
        faults.restore()

    async def test_read_over_a_dead_line_can_be_cancelled(self, backend: SourceBackend) -> None:
        """Closing a program does not wait for a place that is gone."""
        faults, _, _ = self.disturbing(backend)
        faults.stall()
        reading = asyncio.ensure_future(read(backend.source))
        await asyncio.sleep(0)
        reading.cancel()

        _, pending = await asyncio.wait({reading}, timeout=self.patience)

        faults.restore()
        assert pending == set()

    # --- tools

    def putting(self, backend: SourceBackend) -> Callable[[str, bytes], Awaitable[None]]:
        """Return the way to change the place, or leave the test out."""
        if backend.put is None:
            raise unittest.SkipTest("the place never changes")
        return backend.put

    def removing(self, backend: SourceBackend) -> Callable[[str], Awaitable[None]]:
        """Return the way to remove from the place, or leave the test out."""
        if backend.remove is None:
            raise unittest.SkipTest("nothing can be removed")
        return backend.remove

    def disturbing(
        self, backend: SourceBackend
    ) -> tuple[Faults, Callable[[str, bytes], Awaitable[None]], Callable[[str], Awaitable[None]]]:
        """Return the line and the ways to change the place, or leave the test out."""
        if backend.faults is None:
            raise unittest.SkipTest("there is no line to disturb")
        return backend.faults, self.putting(backend), self.removing(backend)

    @asynccontextmanager
    async def watching(self, source: Source) -> AsyncGenerator[_Sightings]:
        """Watch a source for the length of a block."""
        feed: Feed[Sequence[KeyValue]] = Feed(
            source.watch,
            name=str(source),
            backoff=_QUICK,
            timeout=self.limit,
            same=lambda left, right: list(left) == list(right),
            random=lambda: 0.05,  # near zero, as the suite waits for it, but no tight loop
        )
        seen = _Sightings(self.patience)
        feed.subscribe(seen.see)
        try:
            yield seen
        finally:
            await feed.aclose()

    async def next(
        self, watcher: Watcher[Sequence[KeyValue]], state: Versioned[Any]
    ) -> dict[str, bytes]:
        """Return the documents after the next change."""
        async with asyncio.timeout(self.patience):
            known = list(state.value)
            while list(state.value) == known:
                state = await watcher.changed(state.token) or await watcher.read()
        return _by_name(state.value)

    async def ends(self, waiting: asyncio.Future[Any]) -> None:
        """Assert that a wait ends, in whichever way."""
        done, _ = await asyncio.wait({waiting}, timeout=self.patience)
        assert done, "changed() outlived its watcher"
        if not waiting.cancelled():
            waiting.exception()

    async def holds(
        self,
        condition: Callable[[], bool],
        failure: str = "the configuration did not follow in time",
    ) -> None:
        """Wait until a condition holds."""
        try:
            async with asyncio.timeout(self.patience):
                while not condition():  # noqa: ASYNC110  no event tells of an error
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(failure) from None

    async def read_once(self, backend: SourceBackend) -> None:
        """Let the client of the back end make what it keeps for good, such as a connection."""
        await read(backend.source)


def _document(value: int) -> bytes:
    return json.dumps(value).encode()


def _by_name(entries: Sequence[KeyValue]) -> dict[str, bytes]:
    """Return documents by the last part of their names: back ends put folders before it."""
    return {entry.key.rpartition("/")[2]: entry.value for entry in entries}
