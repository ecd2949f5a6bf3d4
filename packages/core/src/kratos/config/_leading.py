"""Other processes as one participant of a change."""

from __future__ import annotations

from typing import Protocol

from kratos.config._interface import Prepared
from kratos.config._snapshot import Snapshot
from kratos.config._states import States

__all__ = ["Leader", "Leading"]


class Leader(Protocol):
    """Ties processes together. ``repr`` of it names those that have not answered yet."""

    async def prepare(self, states: States, revision: int, /) -> Prepared:
        """Have all processes prepare for what the sources say.

        Raises:
            ConfigError: One of them refuses; all others have been told to roll back.

        Cancellation: all are told to roll back.
        """
        ...


class Leading:
    """A ``Participant`` that asks a leader.

    Args:
        leader: Of the other processes.
        states: What the sources say.
    """

    __slots__ = ("_leader", "_states")

    def __init__(self, leader: Leader, states: States) -> None:
        self._leader = leader
        self._states = states

    def __repr__(self) -> str:
        return repr(self._leader)

    async def prepare(self, _old: Snapshot, new: Snapshot, /) -> Prepared:
        """Have them prepare; see ``Leader``."""
        return await self._leader.prepare(self._states, new.revision)
