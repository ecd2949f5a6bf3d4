"""One fault of calls: which calls it meets, and what it does to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Any, Final, TypeAlias

from kratos.clock import Clock
from kratos.errors import Error
from kratos.transport import Call

__all__ = ["Carry", "Choice", "CutStream", "Delay", "Drop", "Fail", "FaultRule", "LoseReply"]

Carry: TypeAlias = "Callable[[], Awaitable[Any]]"


_BEGINNINGS: Final = ("/", "*", "?", "[")  # of operations, and of patterns of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which calls a fault meets; see ``CallFaults``."""

    operation: str
    address: str
    nth: int | None
    probability: float
    times: int | None

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability={self.probability} is not within 0 and 1")
        if self.operation[:1] not in _BEGINNINGS:
            raise ValueError(
                f"operation={self.operation!r} is like none: write /package.Service/Method, "
                "or */Method"
            )
        for name, number in (("nth", self.nth), ("times", self.times)):
            if number is not None and number < 1:
                raise ValueError(f"{name}={number}: calls are counted from 1")

    def matches(self, call: Call, address: str) -> bool:
        """Whether a call is one of those that are counted."""
        if self.address and self.address != address:
            return False
        return fnmatchcase(call.method.operation, self.operation)


class FaultRule:
    """One fault, as ``CallFaults`` returns it.

    Attributes:
        seen: How many calls it looked at: those of its operation and address.
        hits: How many of them it disturbed.
    """

    def __init__(self, choice: Choice, random: Random) -> None:
        self.seen = 0
        self.hits = 0
        self._choice = choice
        self._random = random
        self._lifted = False
        self._met = asyncio.Event()

    def lift(self) -> None:
        """Meet no further calls; those that were met stay so. Idempotent."""
        self._lifted = True

    async def met(self) -> None:
        """Return when a call has been disturbed; set a limit around it."""
        await self._met.wait()

    def meets(self, call: Call, address: str) -> bool:
        """Count a call, and say whether it is to be disturbed (for ``CallFaults``)."""
        choice = self._choice
        if self._lifted or not choice.matches(call, address):
            return False
        self.seen += 1
        if choice.nth is not None and self.seen != choice.nth:
            return False
        if choice.times is not None and self.hits >= choice.times:
            return False
        # Drawn for each call that counts, so that the same seed gives the same calls.
        if choice.probability < 1 and self._random.random() >= choice.probability:
            return False
        self.hits += 1
        self._met.set()
        return True

    def watch(self, call: Call) -> Callable[[], None] | None:
        """Return what is to be called before each reply of a stream; ``None`` for nothing."""
        return None

    async def carry(self, call: Call, carry: Carry) -> Any:
        """Carry a call that was met."""
        return await carry()


class Delay(FaultRule):
    """Holds a call up before it goes on."""

    def __init__(self, choice: Choice, random: Random, *, seconds: float, clock: Clock) -> None:
        super().__init__(choice, random)
        self._seconds = seconds
        self._clock = clock

    async def carry(self, call: Call, carry: Carry) -> Any:
        """Wait, then carry."""
        await self._clock.sleep(self._seconds)
        return await carry()


class Fail(FaultRule):
    """Ends a call before it goes on."""

    def __init__(self, choice: Choice, random: Random, *, make: Callable[[], Error]) -> None:
        super().__init__(choice, random)
        self._make = make

    async def carry(self, call: Call, carry: Carry) -> Any:
        """Raise."""
        raise self._make()


class LoseReply(FaultRule):
    """Lets a call go on and loses what it ends with."""

    def __init__(self, choice: Choice, random: Random, *, make: Callable[[], Error]) -> None:
        super().__init__(choice, random)
        self._make = make

    async def carry(self, call: Call, carry: Carry) -> Any:
        """Carry, then raise."""
        try:
            await carry()
        except Error as answer:
            raise self._make() from answer
        raise self._make()


class Drop(FaultRule):
    """Swallows a call: it neither goes on nor ends by itself."""

    async def carry(self, call: Call, carry: Carry) -> Any:
        """Wait until the deadline or the caller ends the call."""
        await asyncio.get_running_loop().create_future()


class CutStream(FaultRule):
    """Breaks a stream of replies in the middle."""

    def __init__(
        self, choice: Choice, random: Random, *, after: int, make: Callable[[], Error]
    ) -> None:
        super().__init__(choice, random)
        self._after = after
        self._make = make

    def meets(self, call: Call, address: str) -> bool:
        """Leave out calls with a single reply."""
        return call.method.arity.server_streams and super().meets(call, address)

    def watch(self, call: Call) -> Callable[[], None] | None:
        """Count the replies of one call."""
        left = self._after

        def one_more() -> None:
            nonlocal left
            if left == 0:
                raise self._make()
            left -= 1

        return one_more
