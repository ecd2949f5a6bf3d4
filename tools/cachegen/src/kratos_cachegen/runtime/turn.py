"""Of several processes that lack one value, one loads it, by a lock beside the value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from uuid import uuid4

from kratos.store import Store, get_many

if TYPE_CHECKING:
    from kratos_cachegen.runtime.aside import Aside
    from kratos_cachegen.runtime.flow import Flow

__all__ = ["Turn", "Turns"]

F = TypeVar("F")

_SUFFIX: Final = "%lock"  # no key that is made by key_of ends so
_NOTHING: Final = b"-"  # in place of a token: it was loaded, and could not be kept
_FIRST: Final = 0.005  # seconds between looks at the store, doubled up to the last
_LAST: Final = 0.1


class Turns(Generic[F]):
    """Locks of values of one kind.

    Args:
        aside: Whose they are.
        flow: Counts failures.
        store: Where values and locks are.
        lock: Seconds for which a lock is kept, and for which others wait; 0 for no locks.
        read: Makes of bytes what is found; ``None`` if they cannot be read.
    """

    def __init__(
        self,
        aside: Aside,
        flow: Flow,
        store: Store,
        *,
        lock: float,
        read: Callable[[bytes], F | None],
    ) -> None:
        self.aside = aside
        self.flow = flow
        self.store = store
        self.lock = lock
        self.read = read
        self._held: dict[str, Turn[F]] = {}

    def wrote(self, name: str) -> None:
        """Note that a key was written."""
        if name in self._held:
            self._held[name].kept = True

    def begin(self, name: str, turn: Turn[F]) -> None:
        """Note whose turn it is."""
        self._held[name] = turn

    def end(self, name: str, turn: Turn[F]) -> None:
        """Note that it is over; another one may have begun, if its lock has."""
        if self._held.get(name) is turn:
            del self._held[name]


class Turn(Generic[F]):
    """A block that is entered with what another process has loaded, or with ``None`` to load it.

    Of all that lack a value, one is entered with ``None``, and loads and writes it. The others
    wait, and are entered with that. They are entered with ``None``, too, when they have waited
    for the time of a lock; when the value was loaded, but not kept; and when the store fails. So
    a process that dies delays others by the time of a lock at most, and if loading fails, the
    next one tries.

    Args:
        turns: What it is about.
        name: The key in the store.
        found: What the cache had; then nobody waits.
        asks: Whether the cache could be read; else nobody waits.

    Attributes:
        kept: Whether the store has the value, as far as is known here.
    """

    __slots__ = ("_asks", "_found", "_held", "_lock", "_name", "_token", "_turns", "kept")

    def __init__(
        self, turns: Turns[F], name: str, found: F | None = None, *, asks: bool = True
    ) -> None:
        self.kept = False
        self._turns = turns
        self._name = name
        self._lock = name + _SUFFIX
        self._found = found
        self._asks = asks and found is None and turns.lock > 0
        self._token = uuid4().bytes if self._asks else b""
        self._held = False

    async def __aenter__(self) -> F | None:
        """Wait for the turn.

        Cancellation: a lock that was taken meanwhile is given back.
        """
        if not self._asks:
            return self._found
        try:
            return await self._wait()
        except Exception as error:
            self._turns.flow.failed("lock", error)
            return None
        except BaseException:  # also while the answer is under way that it was taken
            self._held = True
            await self.leave()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others have the value, or their turn."""
        nothing = error is None and not self.kept
        await self._leave(self._tell_nothing if nothing else self._give_back)

    async def leave(self) -> None:
        """Give the lock back that was taken."""
        await self._leave(self._give_back)

    async def take(self) -> bool:
        """Take the lock if nobody has it, and tell whether that was so.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        turns = self._turns
        if await turns.store.set_if_absent(self._lock, self._token, ttl=turns.lock):
            self._hold()
        return self._held

    async def look(self) -> F | None:
        """Return what the key has: who had the lock before may have written just now.

        Raises:
            StoreUnavailable: The store does not answer.
        """
        data = await self._turns.store.get(self._name)
        found = None if data is None else self._turns.read(data)
        self.kept = found is not None
        return found

    async def _wait(self) -> F | None:
        if await self.take():
            return await self.look()
        turns = self._turns
        clock, random = turns.aside.options.clock, turns.aside.options.random
        end, pause = clock.time() + turns.lock, _FIRST
        while (left := end - clock.time()) > 0:
            await clock.sleep(min(left, pause * (0.5 + random())))
            pause = min(2 * pause, _LAST)
            found = await get_many(turns.store, [self._name, self._lock])
            value = turns.read(found[self._name]) if self._name in found else None
            holder = found.get(self._lock)
            if value is not None or holder == _NOTHING:
                return value
            if holder == self._token:  # it was taken, and the answer lost
                self._hold()
            if self._held or (holder is None and await self.take()):
                return await self.look()
        return None

    async def _leave(self, how: Callable[[], Awaitable[None]]) -> None:
        if self._held:
            self._held = False
            self._turns.end(self._name, self)
            await self._later(how)

    def _hold(self) -> None:
        self._held = True
        self._turns.begin(self._name, self)

    async def _give_back(self) -> None:
        await self._turns.store.delete(self._lock, expected=self._token)

    async def _tell_nothing(self) -> None:
        """Tell those who wait that there is nothing to wait for."""
        await self._turns.store.replace(
            self._lock, _NOTHING, expected=self._token, ttl=self._turns.lock
        )

    async def _later(self, job: Callable[[], Awaitable[object]]) -> None:
        """Do it without letting anybody wait; if there is no room for that, now."""

        async def do() -> None:
            try:
                await job()
            except Exception as error:
                self._turns.flow.failed("lock", error)

        if not self._turns.aside.later(do, _forget):
            await do()


def _forget() -> None:
    """Leave a lock where it is, as there is no time any more: it ends by itself."""
