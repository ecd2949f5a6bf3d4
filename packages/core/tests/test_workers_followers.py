"""Workers that follow the configuration of their supervisor, in whichever order things happen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kratos.config import Config, MemorySource
from kratos.config._states import from_plain
from kratos.metrics import NopMeter
from kratos.testing.clock import FakeClock
from kratos.testing.log import MemoryLogger
from kratos.workers._followers import Followers
from kratos.workers._messages import Configure, Configured, Failed, Message, Report, Settle

SLOTS = 3


def value_of(plain: dict[str, Any]) -> int:
    (entries,) = from_plain(plain).values()
    value: int = json.loads(entries[0].value)["a"]
    return value


class ModelChild:
    """A worker as its supervisor sees it, which takes its messages one by one."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.prepared: tuple[int, int] | None = None
        self.inbox: list[Message] = []
        self.behind = False
        self.pid = 1
        self.ready_at: float | None = None
        self.report: Report | None = None
        self.failure: Failed | None = None
        self.code: int | None = None

    def send(self, message: Message, /) -> None:
        self.inbox.append(message)

    def take(self, answer: Callable[[Configured], None], *, refuses: bool) -> None:
        """Do as ``kratos.workers._following`` does."""
        message = self.inbox.pop(0)
        if isinstance(message, Configure):
            if not refuses and message.at_once:
                self.value, self.behind = value_of(message.config), False
            elif not refuses:
                self.prepared = message.number, value_of(message.config)
            elif message.at_once:
                self.behind = True
            problem = "no luck today" if refuses else ""
            answer(Configured(number=message.number, problem=problem))
        elif isinstance(message, Settle):
            if message.commit:
                assert self.prepared is not None, "what is committed was prepared"
                assert self.prepared[0] == message.number
                self.value, self.behind = self.prepared[1], False
            self.prepared = None

    async def settled(self) -> None: ...
    async def leaving(self) -> None: ...
    async def ended(self) -> None: ...
    def stop(self) -> None: ...
    def finish(self) -> None: ...
    def kill(self) -> None: ...


class Host:
    """A supervisor's configuration and its workers."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = MemorySource.of({"a": 0})
        self.config = Config(self.source, clock=self.clock)
        self.children: dict[int, ModelChild] = {}
        self.launching: dict[int, tuple[int, dict[str, Any]]] = {}
        self.changes = 0
        self.followers = Followers(
            self.config,
            children=lambda: {child: number for number, child in self.children.items()},
            changed=lambda: None,
            meter=NopMeter(),
            log=MemoryLogger(),
        )

    def change(self, _number: int) -> None:
        self.changes += 1
        self.source.set({"a": self.changes})

    def take(self, number: int, *, refuses: bool = False) -> None:
        child = self.children.get(number)
        if child is not None and child.inbox:
            child.take(lambda answer: self.followers.hear(child, answer), refuses=refuses)

    def refuse(self, number: int) -> None:
        self.take(number, refuses=True)

    def die(self, number: int) -> None:
        child = self.children.pop(number, None)
        if child is not None:
            child.code = -9
            self.followers.sweep()

    def start(self, number: int) -> None:
        if number not in self.children:
            self.launching.setdefault(number, self.followers.present())

    def launched(self, number: int) -> None:
        if number in self.launching:
            revision, plain = self.launching.pop(number)
            self.children[number] = child = ModelChild(value_of(plain))
            self.followers.catch_up(child, revision)

    def ready(self, number: int) -> None:
        if number in self.children:
            self.children[number].ready_at = 1.0

    async def run(self, steps: Sequence[tuple[str, int]]) -> None:
        async with self.config:
            await self.clock.settle()
            for step, number in steps:
                if step == "wait":
                    await self.clock.advance(11.0)
                else:
                    getattr(self, step)(number)
                    await self.clock.settle()
            while any(child.inbox for child in self.children.values()):
                for number in tuple(self.children):
                    self.take(number)
                await self.clock.settle()
            for child in self.children.values():
                assert child.behind == bool(self.followers.problem_of(child))
                assert child.behind or child.value == self.config.snapshot["a"]
                assert child.prepared is None


ACTIONS = ("change", "take", "refuse", "die", "start", "launched", "ready", "wait")
STEPS = st.tuples(st.sampled_from((*ACTIONS, "take")), st.integers(0, SLOTS - 1))

# What chance seldom finds: a change while a worker is being made, and one that is refused late.
MADE = [("die", 0), ("start", 0), ("change", 0), ("take", 1), ("take", 2), ("launched", 0)]
# A refusal that comes when its change is over, and the next one is not.
OVER = [("change", 0), ("wait", 0), ("change", 0), ("refuse", 0), ("wait", 0)]
LATE = [("die", 0), ("start", 0), ("launched", 0), ("change", 0), ("take", 1), ("take", 2)]


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40))
@example(MADE)
@example(OVER)
@example([*LATE, ("refuse", 0)])
@example([*LATE, ("refuse", 0), ("ready", 0), ("change", 0), ("take", 0)])
def test_workers_have_what_is_in_force_or_are_known_to_be_behind(
    steps: list[tuple[str, int]],
) -> None:
    began = [(step, number) for number in range(SLOTS) for step in ("start", "launched", "ready")]
    asyncio.run(Host().run([*began, *steps]))
