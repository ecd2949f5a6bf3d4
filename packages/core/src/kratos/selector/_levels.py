"""Members by their level, the lowest found at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

__all__ = ["Levelled", "Levels"]


class Levelled(Protocol):
    """What stands on a level.

    Attributes:
        level: From 0.
        place: Where it stands among those of its level; of ``Levels`` alone.
    """

    level: int
    place: int


M = TypeVar("M", bound=Levelled)


class Levels(Generic[M]):
    """Members that go up and down one level at a time; each step takes constant time.

    Who leaves a level is replaced there by the last one of it. The steps are written out, as they
    are most of what a pick costs.

    The lowest level never has to be searched for: it rises by one when its last member does, and
    falls to a member that goes below it.

    Attributes:
        lowest: The lowest level with a member; 0 without any.
    """

    __slots__ = ("_empty", "_members", "lowest")

    def __init__(self) -> None:
        self._members: list[list[M]] = [[]]
        self._empty = True
        self.lowest = 0

    def add(self, member: M) -> None:
        """Put a member on its level."""
        if self._empty or member.level < self.lowest:
            self.lowest = member.level
        self._empty = False
        while member.level >= len(self._members):
            self._members.append([])
        level = self._members[member.level]
        member.place = len(level)
        level.append(member)

    def at_lowest(self) -> Sequence[M]:
        """Return the members of the lowest level."""
        return self._members[self.lowest]

    def up(self, member: M) -> None:
        """Move a member one level up."""
        members, at = self._members, member.level
        level = members[at]
        last = level.pop()
        if last is not member:
            level[member.place] = last
            last.place = member.place
        elif not level and at == self.lowest:
            self.lowest = at + 1
        member.level = at = at + 1
        if at == len(members):
            members.append([])
        level = members[at]
        member.place = len(level)
        level.append(member)

    def down(self, member: M) -> None:
        """Move a member one level down."""
        members, at = self._members, member.level
        level = members[at]
        last = level.pop()
        if last is not member:
            level[member.place] = last
            last.place = member.place
        member.level = at = at - 1
        if at < self.lowest:
            self.lowest = at
        level = members[at]
        member.place = len(level)
        level.append(member)
