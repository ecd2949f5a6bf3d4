from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest

from aegis import Backoff
from kratos.testing.clock import FakeClock
from kratos.watch import Feed, Feeds, Versioned, Watcher


class Board:
    """A back end that holds one text, and fails on demand."""

    def __init__(self, text: str = "a") -> None:
        self.text = text
        self.revision = 1
        self.event = asyncio.Event()
        self.failure: BaseException | None = None
        self.hang = asyncio.Event()
        self.hang.set()
        self.opened: list[Reader] = []
        self.reads = 0
        self.vague = False

    def put(self, text: str) -> None:
        self.text = text
        self.revision += 1
        self.wake()

    def wake(self) -> None:
        self.event.set()
        self.event = asyncio.Event()

    def fail(self, error: BaseException | None) -> None:
        self.failure = error
        self.wake()

    async def answer(self) -> Versioned[str]:
        await self.hang.wait()
        if self.failure is not None:
            raise self.failure
        return Versioned(value=self.text, token=self.revision)

    async def open(self) -> Watcher[str]:
        await self.answer()
        reader = Reader(self)
        self.opened.append(reader)
        return reader

    @property
    def live(self) -> int:
        return sum(not reader.closed for reader in self.opened)


class Reader:
    def __init__(self, board: Board) -> None:
        self.board = board
        self.closed = False

    async def read(self) -> Versioned[str]:
        self.board.reads += 1
        return await self.board.answer()

    async def changed(self, since: object, /) -> Versioned[str] | None:
        while self.board.failure is None and self.board.revision == since:
            await self.board.event.wait()
        answer = await self.board.answer()
        return None if self.board.vague else answer

    async def aclose(self) -> None:
        self.closed = True


def half() -> float:
    return 0.5


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
async def feed(board: Board, clock: FakeClock) -> AsyncIterator[Feed[str]]:
    feed = Feed(board.open, name="board", clock=clock, random=half)
    yield feed
    await feed.aclose()


async def test_first_waits_for_the_value(feed: Feed[str], board: Board) -> None:
    before = feed.current

    assert await feed.first() == "a"

    assert (before, feed.current) == (None, "a")
    assert feed.stale_since is None


async def test_nothing_is_opened_before_somebody_asks(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    await clock.settle()

    assert board.opened == []


async def test_feed_keeps_nothing_of_the_context_of_whoever_starts_it(clock: FakeClock) -> None:
    request: ContextVar[str | None] = ContextVar("request", default=None)
    seen: list[str | None] = []

    class Curious(Board):
        async def open(self) -> Watcher[str]:
            seen.append(request.get())
            return await super().open()

    feed = Feed(Curious().open, name="board", clock=clock)
    token = request.set("of a user")
    await feed.first()
    request.reset(token)
    await feed.aclose()

    assert seen == [None]


async def test_change_reaches_every_listener(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    one: list[str] = []
    other: list[str] = []
    feed.subscribe(one.append)
    feed.subscribe(other.append)
    await feed.first()

    board.put("b")
    await clock.settle()

    assert one == other == ["a", "b"]
    assert len(board.opened) == 1


async def test_late_listener_gets_the_present_value_at_once(feed: Feed[str]) -> None:
    await feed.first()
    seen: list[str] = []

    feed.subscribe(seen.append)

    assert seen == ["a"]


async def test_unsubscribed_listener_hears_nothing_more(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    seen: list[str] = []
    unsubscribe = feed.subscribe(seen.append)
    await feed.first()

    unsubscribe()
    unsubscribe()
    board.put("b")
    await clock.settle()

    assert seen == ["a"]
    assert feed.current == "b"


async def test_equal_value_is_not_published_again(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    seen: list[str] = []
    feed.subscribe(seen.append)
    await feed.first()

    board.put("a")
    await clock.settle()

    assert seen == ["a"]
    assert feed.revision == 1


async def test_equality_may_be_chosen(board: Board, clock: FakeClock) -> None:
    feed = Feed(
        board.open,
        name="board",
        clock=clock,
        same=lambda old, new: old.casefold() == new.casefold(),
    )
    await feed.first()

    board.put("A")
    await clock.settle()

    assert feed.current == "a"
    await feed.aclose()


async def test_empty_value_is_published(feed: Feed[str], board: Board, clock: FakeClock) -> None:
    await feed.first()

    board.put("")
    await clock.settle()

    assert feed.current == ""


async def test_vague_change_is_followed_by_a_read(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    await feed.first()
    board.vague = True

    board.put("b")
    await clock.settle()

    assert feed.current == "b"
    assert board.reads == 2


async def test_watcher_that_never_waits_leaves_the_loop_to_others(
    clock: FakeClock,
) -> None:
    class Restless:
        async def read(self) -> Versioned[str]:
            return Versioned(value="a")

        async def changed(self, since: object, /) -> Versioned[str] | None:
            return None

        async def aclose(self) -> None: ...

    async def watch() -> Watcher[str]:
        return Restless()

    feed = Feed(watch, name="restless", clock=clock)
    assert await feed.first() == "a"

    await asyncio.wait_for(clock.settle(), 5)

    await feed.aclose()


async def test_error_keeps_the_good_value_and_marks_it_stale(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    stale: list[float | None] = []
    feed.subscribe(lambda _: None, on_stale=stale.append)
    await feed.first()
    error = ConnectionError("cut")

    board.fail(error)
    await clock.settle()

    assert feed.current == "a"
    assert feed.stale_since == clock.time()
    assert feed.last_error is error
    assert stale == [clock.time()]


async def test_recovery_publishes_what_was_missed_and_ends_staleness(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    stale: list[float | None] = []
    feed.subscribe(lambda _: None, on_stale=stale.append)
    await feed.first()
    board.fail(ConnectionError("cut"))
    await clock.advance(60)

    board.text = "b"
    board.fail(None)
    await clock.advance(15)

    assert feed.current == "b"
    assert feed.stale_since is None
    assert len(stale) == 2
    assert board.live == 1


async def test_failed_first_read_is_stale_without_a_value(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    board.fail(ConnectionError("down"))
    waiting = asyncio.create_task(feed.first())
    await clock.settle()

    assert feed.current is None
    assert feed.stale_since is not None
    assert not waiting.done()

    board.fail(None)
    await clock.advance(1)

    assert await waiting == "a"


async def test_attempts_are_spaced_by_the_back_off(board: Board, clock: FakeClock) -> None:
    tries: list[float] = []

    async def watch() -> Watcher[str]:
        tries.append(clock.time())
        raise ConnectionError("down")

    feed = Feed(
        watch,
        name="down",
        clock=clock,
        backoff=Backoff(base=1, cap=8, jitter="none"),
    )
    feed.subscribe(lambda _: None)
    start = clock.time()

    await clock.advance(32)

    assert [moment - start for moment in tries] == [0, 1, 3, 7, 15, 23, 31]
    await feed.aclose()


async def test_read_that_works_does_not_reset_the_back_off_of_a_failing_watch(
    clock: FakeClock,
) -> None:
    tries: list[float] = []

    class Flapping:
        async def read(self) -> Versioned[str]:
            return Versioned(value="a")

        async def changed(self, since: object, /) -> Versioned[str] | None:
            raise ConnectionError("flap")

        async def aclose(self) -> None: ...

    async def watch() -> Watcher[str]:
        tries.append(clock.time())
        return Flapping()

    feed = Feed(watch, name="flap", clock=clock, backoff=Backoff(base=1, cap=64, jitter="none"))
    await feed.first()

    await clock.advance(40)

    assert [moment - tries[0] for moment in tries] == [0, 1, 3, 7, 15, 31]
    await feed.aclose()


async def test_watch_that_lived_long_starts_the_back_off_anew(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    await feed.first()
    for _ in range(3):
        await clock.advance(100)
        board.fail(ConnectionError("idle connection cut"))
        await clock.settle()
        board.fail(None)

        await clock.advance(0.25)

        assert feed.stale_since is None


async def test_unchanged_state_is_read_again_within_ten_minutes(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    await feed.first()
    board.text = "changed without a sign"

    await clock.advance(600)

    assert feed.current == "changed without a sign"
    assert board.reads == 2
    assert len(board.opened) == 1


async def test_connection_that_died_silently_is_found_by_the_resync(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    await feed.first()
    board.hang.clear()

    await clock.advance(600)

    assert isinstance(feed.last_error, TimeoutError)
    assert feed.stale_since is not None
    board.hang.set()
    await clock.advance(60)
    assert feed.stale_since is None


async def test_time_out_of_the_adapter_is_an_error_not_a_resync(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    await feed.first()

    board.fail(TimeoutError("the adapter's own"))
    await clock.settle()

    assert feed.stale_since is not None
    assert board.live == 0


async def test_opening_that_hangs_is_given_up_and_tried_again(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    board.hang.clear()
    feed.subscribe(lambda _: None)

    await clock.advance(10)
    assert isinstance(feed.last_error, TimeoutError)

    board.hang.set()
    await clock.advance(1)
    assert feed.current == "a"


async def test_cancellation_that_an_adapter_makes_up_does_not_end_the_feed(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    await feed.first()

    board.fail(asyncio.CancelledError())
    await clock.settle()
    board.text = "b"
    board.fail(None)
    await clock.advance(1)

    assert feed.current == "b"


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_listener_that_raises_does_not_hurt_the_others(
    error: type[BaseException], feed: Feed[str], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def broken(value: str) -> None:
        raise error(value)

    feed.subscribe(broken)
    feed.subscribe(seen.append)

    await feed.first()

    assert seen == ["a"]
    assert "a listener failed" in caplog.text


async def test_listener_may_unsubscribe_while_it_is_called(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    seen: list[str] = []

    def once(value: str) -> None:
        seen.append(value)
        stop()

    stop = feed.subscribe(once)
    feed.subscribe(seen.append)
    await feed.first()

    board.put("b")
    await clock.settle()

    assert seen == ["a", "a", "b"]


async def test_slow_reader_gets_only_the_newest_value(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    seen: list[str] = []
    async for value in feed.values():
        seen.append(value)
        for text in "bcd" if value == "a" else "":
            board.put(text)
            await clock.settle()
        if value == "d":
            break

    assert seen == ["a", "d"]


async def test_values_wait_for_the_next_change(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    seen: list[str] = []

    async def read() -> None:
        seen.extend([value async for value in feed.values()])

    reader = asyncio.create_task(read())
    await clock.settle()
    board.put("b")
    await clock.settle()
    await feed.aclose()
    await reader

    assert seen == ["a", "b"]


async def test_closing_ends_the_watch_and_leaves_no_task(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    before = asyncio.all_tasks()
    await feed.first()

    await feed.aclose()
    await feed.aclose()

    assert board.live == 0
    assert asyncio.all_tasks() == before
    assert clock.sleepers == 0


async def test_closing_while_backing_off_leaves_no_task(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    before = asyncio.all_tasks()
    board.fail(ConnectionError("down"))
    feed.subscribe(lambda _: None)
    await clock.settle()

    await feed.aclose()

    assert asyncio.all_tasks() == before


async def test_watcher_that_cannot_close_does_not_stop_the_closing(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Reader):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    async def watch() -> Watcher[str]:
        return Stuck(Board())

    feed = Feed(watch, name="stuck", clock=clock)
    await feed.first()

    closing = asyncio.create_task(feed.aclose())
    await clock.advance(10)
    await closing

    assert "closing the watcher failed" in caplog.text


async def test_closed_feed_refuses_users(feed: Feed[str]) -> None:
    await feed.aclose()

    with pytest.raises(RuntimeError, match=f"{feed.name} is closed"):
        await feed.first()
    with pytest.raises(RuntimeError, match=f"{feed.name} is closed"):
        feed.subscribe(lambda _: None)


async def test_closing_wakes_who_waits_for_the_first_value(
    feed: Feed[str], board: Board, clock: FakeClock
) -> None:
    board.hang.clear()
    waiting = asyncio.create_task(feed.first())
    await clock.settle()

    await feed.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await waiting


async def test_errors_are_logged_with_cause_and_next_attempt(
    feed: Feed[str], board: Board, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    board.fail(ConnectionError("no route"))
    feed.subscribe(lambda _: None)
    await clock.settle()
    board.fail(None)
    await clock.advance(1)

    assert "board: watching failed (ConnectionError: no route), next attempt in" in caplog.text
    assert "board: up to date again" in caplog.text


async def test_users_of_one_key_share_a_feed_and_the_last_closes_it(
    board: Board, clock: FakeClock
) -> None:
    feeds: Feeds[str] = Feeds()

    def make() -> Feed[str]:
        return Feed(board.open, name="board", clock=clock)

    one = feeds.lease("board", make)
    other = feeds.lease("board", make)
    assert one.feed is other.feed
    await one.feed.first()

    await one.aclose()
    await one.aclose()
    assert board.live == 1

    await other.aclose()
    assert board.live == 0
    assert len(feeds) == 0


async def test_new_lease_after_the_last_one_gets_a_fresh_feed(
    board: Board, clock: FakeClock
) -> None:
    feeds: Feeds[str] = Feeds()

    def make() -> Feed[str]:
        return Feed(board.open, name="board", clock=clock)

    async with feeds.lease("board", make) as lease:
        first = lease.feed
    async with feeds.lease("board", make) as lease:
        assert lease.feed is not first
        assert await lease.feed.first() == "a"
