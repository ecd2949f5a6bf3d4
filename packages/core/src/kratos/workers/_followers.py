"""The workers as those who follow the configuration of their supervisor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kratos.config import Config
from kratos.config._states import Plain, States, to_plain
from kratos.errors import ConfigError
from kratos.log import Level, Logger
from kratos.metrics import Meter
from kratos.workers._child import Child
from kratos.workers._messages import Configure, Configured, Settle

__all__ = ["MOST", "Followers"]

MOST: Final = 8 * 1024 * 1024  # bytes as JSON; half of what a worker may leave unread


class Followers:
    """Has all workers take part in each change, and tells new ones what is in force.

    All that serve prepare; when all of them have, all put it in force, and if one refuses, all
    roll back. Those that are about to start get what is in force, and so does one whose start
    came in between. One that refuses that keeps what it had, which is logged, counted and part of
    its health.

    Args:
        config: The supervisor's.
        children: Gives the workers, with the numbers of their slots.
        changed: Called when it is other workers that are behind.
        meter: Shows how many are.
        log: Where it is told that one is.
    """

    def __init__(
        self,
        config: Config,
        *,
        children: Callable[[], Mapping[Child, int]],
        changed: Callable[[], None],
        meter: Meter,
        log: Logger,
    ) -> None:
        self._config = config
        self._children = children
        self._changed = changed
        self._log = log
        self._number = 0
        self._asked: _Round | None = None
        self._behind: dict[Child, str] = {}
        self._at_once: dict[Child, int] = {}  # numbers of what they were told, not asked
        self._figure = meter.gauge(
            "kratos_workers_config_behind",
            description="Workers that refused the configuration that is in force.",
            across="sum",
        )
        config.lead(self)

    def __repr__(self) -> str:
        numbers = [] if self._asked is None else self._asked.silent(self._children())
        return ", ".join(f"worker {number}" for number in numbers) or "the workers"

    def present(self) -> tuple[int, Plain]:
        """Return the revision that is in force, and what it is made of.

        Raises:
            ConfigError: It is too large to be told.
        """
        return self._config.snapshot.revision, _carried(self._config.states)

    def catch_up(self, child: Child, revision: int) -> None:
        """Tell a new worker what is in force, if that is no longer what it was told."""
        present = self._config.snapshot.revision
        if present != revision:
            self._tell(child, present, _carried(self._config.states))

    async def prepare(self, states: States, revision: int, /) -> _Told:
        """Have the workers prepare; see ``kratos.config._leading.Leader``."""
        plain = _carried(states)
        self._number += 1
        ready = [child for child in self._children() if child.ready_at is not None]
        asked = self._asked = _Round(number=self._number, waiting=set(ready))
        for child in ready:
            child.send(Configure(number=self._number, revision=revision, config=plain))
        told = _Told(
            commit=lambda: self._commit(frozenset(ready), revision, plain),
            give_up=lambda reason: self._give_up(frozenset(ready), reason),
        )
        try:
            self.sweep()
            await asked.over.wait()
        except BaseException:
            told.give_up(f"{self!r}: no answer in time")
            raise
        reason = self._refusal_of(asked)
        if reason:
            told.give_up(reason)
            raise ConfigError(reason)
        return told

    def hear(self, child: Child, message: Configured) -> None:
        """Take an answer."""
        asked = self._asked
        if asked is not None and message.number == asked.number and child in asked.waiting:
            asked.answer(child, message.problem)
        elif self._at_once.get(child) != message.number:
            return  # to a round that is over: who refused it has what is in force
        elif message.problem:
            self._note_behind(child, message.problem)
        elif self._behind.pop(child, None) is not None:
            self._show_behind()

    def sweep(self) -> None:
        """Wait no longer for workers that have ended."""
        if self._asked is not None:
            for child in [child for child in self._asked.waiting if child.code is not None]:
                self._asked.lose(child)
        self._at_once = {child: at for child, at in self._at_once.items() if child.code is None}
        gone = [child for child in self._behind if child.code is not None]
        for child in gone:
            del self._behind[child]
        if gone:
            self._figure.set(len(self._behind))

    def problem_of(self, child: Child) -> str:
        """Return why a worker does not have what is in force; empty if it has."""
        return self._behind.get(child, "")

    def _refusal_of(self, asked: _Round) -> str:
        if asked.problem is not None:
            child, problem = asked.problem
            return f"worker {self._children().get(child, '?')} refuses it: {problem}"
        if asked.ended and not asked.prepared:
            # Of one among others that is chance; of all, it may be what they were to prepare for.
            return "every worker that was asked to prepare for it has ended"
        return ""

    def _commit(self, prepared: frozenset[Child], revision: int, plain: Plain) -> None:
        number = self._number
        for child in self._children():
            if child in prepared:
                child.send(Settle(number=number, commit=True))
            else:
                self._tell(child, revision, plain)
        if any(self._behind.pop(child, None) is not None for child in tuple(self._behind)):
            self._show_behind()

    def _give_up(self, asked: frozenset[Child], reason: str) -> None:
        # The round stays: answers to it that come late mean nothing any more.
        number = self._number
        for child in self._children():
            if child in asked:
                child.send(Settle(number=number, commit=False, reason=reason))

    def _tell(self, child: Child, revision: int, plain: Plain) -> None:
        self._at_once[child] = self._number
        child.send(Configure(number=self._number, revision=revision, at_once=True, config=plain))

    def _note_behind(self, child: Child, problem: str) -> None:
        self._behind[child] = problem
        number = self._children().get(child)
        self._log.log(
            Level.ERROR,
            "a worker keeps its old configuration",
            {"worker": number, "pid": child.pid, "error": problem},
        )
        self._show_behind()

    def _show_behind(self) -> None:
        self._figure.set(len(self._behind))
        self._changed()


@dataclass(kw_only=True)
class _Round:
    """A change for which workers prepare."""

    number: int
    waiting: set[Child]
    prepared: int = 0
    ended: int = 0
    problem: tuple[Child, str] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if not self.waiting:
            self.over.set()

    def answer(self, child: Child, problem: str) -> None:
        self.waiting.discard(child)
        if not problem:
            self.prepared += 1
        elif self.problem is None:
            self.problem = child, problem
        self._look()

    def lose(self, child: Child) -> None:
        self.waiting.discard(child)
        self.ended += 1
        self._look()

    def _look(self) -> None:
        if not self.waiting or self.problem is not None:
            self.over.set()

    def silent(self, numbers: Mapping[Child, int]) -> list[int]:
        return sorted(numbers[child] for child in self.waiting if child in numbers)


class _Told:
    """Workers that have prepared."""

    def __init__(self, *, commit: Callable[[], None], give_up: Callable[[str], None]) -> None:
        self._commit = commit
        self.give_up = give_up

    def commit(self) -> None:
        self._commit()

    async def rollback(self) -> None:
        self.give_up("another participant refuses it")


def _carried(states: States) -> Plain:
    plain = to_plain(states)
    size = len(json.dumps(plain))
    if size > MOST:
        raise ConfigError(
            f"the configuration takes {size} bytes, and workers can be told {MOST}: "
            "leave data files out of it, and name their paths instead"
        )
    return plain
