"""Lists that are kept up to date: what the registry and the source have in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from kratos.clock import Clock
from kratos.limit import cancel_and_wait
from kratos.watch import Versioned
from kratos_consul.agent import Agent, Answer, ConsulUnavailable, Question

__all__ = ["HERE", "BlockingWatcher", "Listing"]

T = TypeVar("T")

HERE: Final = ""
"""The datacentre of the agent."""

_FIRST_PAUSE: Final = 0.05  # seconds
_LONGEST_PAUSE: Final = 1.0  # seconds
_JITTER: Final = 1 / 16  # of the wait, which Consul adds

# The items of one datacentre, and the index at which they were so.
Listing: TypeAlias = tuple[int, tuple[T, ...]]

_log = logging.getLogger("kratos.consul")


class BlockingWatcher(Generic[T]):
    """A ``kratos.watch.Watcher`` of lists that Consul sends when they have changed.

    Each datacentre has its own list with an index of its own. One that does not answer keeps what
    it said last, as long as the first one does.

    Args:
        agent: Who is asked.
        question: What is asked; the index and the wait are added.
        decode: Returns the items of an answer of a datacentre.
        datacenters: Returns the datacentres, the nearest first.
        wait: Seconds for which an unchanged list is held back, at most.
        clock: Time for pauses.
        owned: Whether to close the agent's client, too.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        question: Callable[[str], Question],
        decode: Callable[[Answer, str], tuple[T, ...]],
        datacenters: Callable[[], Awaitable[Sequence[str]]],
        wait: float,
        clock: Clock,
        owned: bool,
    ) -> None:
        self._agent = agent
        self._question = question
        self._decode = decode
        self._datacenters = datacenters
        self._wait = min(wait, agent.longest_wait)
        self._clock = clock
        self._owned = owned
        self._held: dict[str, tuple[T, ...]] = {}
        self._silent: set[str] = set()
        self._pause = 0.0  # seconds
        self._next = 0.0  # the clock's time before which nothing is asked
        self._scope: asyncio.Timeout | None = None
        self._closed = False

    async def read(self) -> Versioned[tuple[T, ...]]:
        """Return everything, in the order of the datacentres."""
        async with self._open():
            places = await self._datacenters()
            answers = await _answers({place: self._ask(place, 0) for place in places}, every=True)
        indexes: dict[str, int] = {}
        held: dict[str, tuple[T, ...]] = {}
        for place, answer in answers.items():
            index, items = self._heard(place, answer, first=place == places[0])
            indexes[place], held[place] = index, items
        self._held = held
        return self._state(indexes)

    async def changed(self, since: object, /) -> Versioned[tuple[T, ...]] | None:
        """Return everything after the next change, or after the longest wait."""
        indexes = dict(cast("Mapping[str, int]", since))
        async with self._open():
            await self._clock.sleep(self._next - self._clock.time())
            began = self._clock.time()
            answers = await _answers(
                {place: self._ask(place, index) for place, index in indexes.items()}, every=False
            )
        news = False
        for place, answer in answers.items():
            index, items = self._heard(place, answer, first=place == next(iter(indexes)))
            if 0 < index < indexes[place]:
                # Consul was restored, or another one answers: its count begins anew.
                self._pace(began, news=False)
                return None
            news = news or items != self._held.get(place)
            indexes[place], self._held[place] = index, items
        self._pace(began, news=news)
        return self._state(indexes)

    async def aclose(self) -> None:
        """End a pending wait; idempotent."""
        if self._scope is not None and not self._closed:
            self._scope.reschedule(asyncio.get_running_loop().time())
        self._closed = True
        if self._owned:
            await self._agent.aclose()

    def _pace(self, began: float, *, news: bool) -> None:
        """Pause after answers that came soon and told nothing, longer after each.

        Consul wakes us for neighbours, too, which in a busy cluster would never end. One alone is
        usual: a new instance is critical until its first heartbeat.
        """
        now = self._clock.time()
        in_vain = not news and now - began < _LONGEST_PAUSE
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * self._pause)) if in_vain else 0.0
        self._next = now + self._pause

    def _state(self, indexes: Mapping[str, int]) -> Versioned[tuple[T, ...]]:
        items = tuple(item for place in indexes for item in self._held.get(place, ()))
        return Versioned(value=items, token=indexes)

    def _heard(
        self, place: str, answer: Listing[T] | ConsulUnavailable, *, first: bool
    ) -> Listing[T]:
        """Return what a datacentre said, or said last."""
        if not isinstance(answer, ConsulUnavailable):
            if place in self._silent:
                self._silent.remove(place)
                _log.info("datacentre %s answers again", place)
            return answer
        if first:
            raise answer
        if place not in self._silent:
            self._silent.add(place)
            _log.warning("datacentre %s keeps what it said last: %s", place, answer)
        return 0, self._held.get(place, ())

    async def _ask(self, place: str, index: int) -> Listing[T]:
        question = self._question(place)
        if index:
            query = {**question.query, "index": str(index), "wait": f"{self._wait * 1000:.0f}ms"}
            wait = self._wait * (1 + _JITTER)
            question = Question(
                verb=question.verb, path=question.path, name=question.name, query=query, wait=wait
            )
        answer = await self._agent.ask(question)
        items = self._decode(answer, place)  # which says what else is wrong, first
        return answer.index, items

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None]:
        """Let ``aclose`` end the block."""
        if self._closed:
            raise ConsulUnavailable(f"{self._agent}: the watcher is closed")
        try:
            async with asyncio.timeout(None) as self._scope:
                yield
        except TimeoutError as error:
            raise ConsulUnavailable(f"{self._agent}: the watcher was closed") from error
        finally:
            self._scope = None


async def _answers(
    asking: Mapping[str, Coroutine[Any, Any, Listing[T]]], *, every: bool
) -> dict[str, Listing[T] | ConsulUnavailable]:
    """Return every answer, or the first one, and the failures until then."""
    tasks = {asyncio.create_task(question): place for place, question in asking.items()}
    waiting = set(tasks)
    answers: dict[str, Listing[T] | ConsulUnavailable] = {}
    try:
        enough = False
        while waiting and not enough:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    answers[tasks[task]] = task.result()
                    enough = not every
                except ConsulUnavailable as error:
                    answers[tasks[task]] = error
    finally:
        await cancel_and_wait(*tasks)
    return {place: answers[place] for place in asking if place in answers}
