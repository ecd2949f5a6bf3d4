"""The watch loop."""

from __future__ import annotations

import asyncio
import logging
import operator
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import Context
from typing import Final, Generic, TypeAlias, TypeVar

from aegis.backoff import Backoff
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.limit import Limit, cancel_and_wait, describe, is_cancelled_from_outside
from kratos.watch._watcher import Versioned, Watcher

__all__ = ["Feed"]

T = TypeVar("T")
X = TypeVar("X")

_Listener: TypeAlias = Callable[[T], None]
_StaleListener: TypeAlias = Callable[[float | None], None]

_BACKOFF: Final = Backoff()
_RESYNC_JITTER: Final = 0.1

_log = logging.getLogger("kratos.watch")


class Feed(Generic[T]):
    """The present state of something watched, kept up to date from the first use to ``aclose``.

    While the back end is away the last good value stays and ``stale_since`` says since when.
    All methods belong to one event loop; only ``first``, ``values`` and ``aclose`` wait.

    Args:
        watch: Opens a watcher; called again after every error.
        name: What is watched, for logs.
        clock: Time for back-off, limits and resynchronising.
        backoff: Waits between attempts.
        timeout: Seconds for opening, for one read and for closing a watcher.
        resync: Seconds after which the state is read again even if no change was told, less
            up to 10 % so that processes drift apart. It also finds connections that died
            without a sign.
        same: Tells whether two values are equal; an equal value is not published.
        random: Gives numbers of [0, 1).
    """

    def __init__(
        self,
        watch: Callable[[], Awaitable[Watcher[T]]],
        *,
        name: str,
        clock: Clock = SYSTEM_CLOCK,
        backoff: Backoff = _BACKOFF,
        timeout: float = 10.0,
        resync: float = 600.0,
        same: Callable[[T, T], bool] = operator.eq,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._watch = watch
        self._name = name
        self._clock = clock
        self._backoff = backoff
        self._timeout = timeout
        self._resync = resync
        self._same = same
        self._random = random
        self._held: tuple[T] | None = None
        self._revision = 0
        self._stale_since: float | None = None
        self._last_error: BaseException | None = None
        self._failures = 0
        self._resync_at = 0.0
        self._listeners: dict[object, tuple[_Listener[T], _StaleListener | None]] = {}
        self._progress = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """What is watched."""
        return self._name

    @property
    def current(self) -> T | None:
        """The newest good value; ``None`` before the first."""
        return None if self._held is None else self._held[0]

    @property
    def revision(self) -> int:
        """How many different values there have been."""
        return self._revision

    @property
    def stale_since(self) -> float | None:
        """Clock time since which ``current`` may be out of date; ``None`` when it is fresh.

        Set from the first error, also before there is a value.
        """
        return self._stale_since

    @property
    def last_error(self) -> BaseException | None:
        """The newest error, kept after recovery."""
        return self._last_error

    async def first(self) -> T:
        """Return ``current``, waiting for it if there was none yet; starts the feed.

        Set a limit around it: while the back end is away it waits.

        Raises:
            RuntimeError: The feed is, or was meanwhile, closed.

        Cancellation: safe; the feed goes on.
        """
        self._start()
        while self._held is None:
            await self._progress.wait()
            self._check_open()
        return self._held[0]

    def subscribe(
        self,
        listener: _Listener[T],
        /,
        *,
        on_stale: _StaleListener | None = None,
    ) -> Callable[[], None]:
        """Call ``listener`` with the present value, if any, and with each new one; start the feed.

        Listeners run in the loop's thread and must not block; what one raises is logged.

        Args:
            listener: Takes a value.
            on_stale: Takes ``stale_since`` whenever it is set or cleared.

        Returns:
            The way to stop listening; calling it again does nothing.

        Raises:
            RuntimeError: The feed is closed.
        """
        self._start()
        key = object()
        self._listeners[key] = (listener, on_stale)
        if self._held is not None:
            self._call(listener, self._held[0])

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    async def values(self) -> AsyncIterator[T]:
        """Yield the present value and later ones; a slow reader gets only the newest.

        Starts the feed, and ends when the feed is closed.

        Raises:
            RuntimeError: The feed is closed already.
        """
        self._start()
        seen = 0
        while not self._closed:
            if self._held is None or self._revision == seen:
                await self._progress.wait()
                continue
            seen = self._revision
            yield self._held[0]

    async def aclose(self) -> None:
        """Stop watching and release the watcher; idempotent, may be called at any time.

        Cancellation: the watcher is still closed, within ``timeout``.
        """
        self._closed = True
        self._listeners.clear()
        self._signal()
        if self._task is not None and not self._task.done():
            await cancel_and_wait(self._task)

    def _check_open(self) -> None:
        if self._closed:
            msg = f"the feed of {self._name} is closed"
            raise RuntimeError(msg)

    def _signal(self) -> None:
        """Wake all who wait now, and let later ones wait anew."""
        self._progress.set()
        self._progress = asyncio.Event()

    def _start(self) -> None:
        self._check_open()
        if self._task is None:
            # The feed outlives whoever starts it: a request must not lend it its context.
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name=f"kratos-feed {self._name}", context=Context()
            )

    async def _run(self) -> None:
        while True:
            opened = self._clock.time()
            try:
                await self._follow()
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and is_cancelled_from_outside():
                    raise
                if self._clock.time() - opened > self._backoff.cap:
                    self._failures = 0
                delay = self._backoff.delay(self._failures, self._random)
                self._failures += 1
                self._fail(error, delay)
                await self._clock.sleep(delay)

    async def _follow(self) -> None:
        """Watch until an error."""
        watcher: Watcher[T] | None = None
        try:
            async with Limit(self._clock, self._timeout):
                watcher = await self._watch()
            seen = await self._read(watcher)
            while True:
                seen = await self._next(watcher, seen.token)
                self._failures = 0
                # A watcher that never waits must not keep the loop to itself.
                await asyncio.sleep(0)
        finally:
            if watcher is not None:
                await self._close(watcher)

    async def _next(self, watcher: Watcher[T], token: object) -> Versioned[T]:
        limit = Limit(self._clock, self._resync_at - self._clock.time())
        try:
            async with limit:
                versioned = await watcher.changed(token)
        except TimeoutError:
            if not limit.expired:
                raise
            versioned = None
        if versioned is None:
            return await self._read(watcher)
        self._publish(versioned.value)
        return versioned

    async def _read(self, watcher: Watcher[T]) -> Versioned[T]:
        async with Limit(self._clock, self._timeout):
            versioned = await watcher.read()
        early = _RESYNC_JITTER * self._random()
        self._resync_at = self._clock.time() + self._resync * (1 - early)
        self._publish(versioned.value)
        return versioned

    async def _close(self, watcher: Watcher[T]) -> None:
        try:
            async with Limit(self._clock, self._timeout):
                await watcher.aclose()
        except Exception as error:
            _log.warning("%s: closing the watcher failed: %s", self._name, describe(error))

    def _publish(self, value: T) -> None:
        if self._stale_since is not None:
            _log.info("%s: up to date again", self._name)
            self._set_stale(None)
        if self._held is not None and self._same(self._held[0], value):
            return
        self._held = (value,)
        self._revision += 1
        self._signal()
        for listener, _ in list(self._listeners.values()):
            self._call(listener, value)

    def _fail(self, error: BaseException, delay: float) -> None:
        self._last_error = error
        _log.warning(
            "%s: watching failed (%s), next attempt in %.1f s", self._name, describe(error), delay
        )
        if self._stale_since is None:
            self._set_stale(self._clock.time())

    def _set_stale(self, since: float | None) -> None:
        self._stale_since = since
        for _, on_stale in list(self._listeners.values()):
            if on_stale is not None:
                self._call(on_stale, since)

    def _call(self, listener: Callable[[X], None], argument: X) -> None:
        try:
            listener(argument)
        except (Exception, asyncio.CancelledError):  # no cancellation of ours: no await
            _log.exception("%s: a listener failed", self._name)
