"""New nodes begin with few calls (Envoy: slow start)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.selector._candidates import unique
from kratos.selector._time import nanoseconds
from kratos.selector.node import Node, NodeFilter
from kratos.selector.outcome import Outcome
from kratos.selector.selector import Pick, Selector

if TYPE_CHECKING:
    from kratos.transport import Call

__all__ = ["SlowStart"]

_SECOND: Final = 1e9  # nanoseconds


class SlowStart:
    """Lets a node that is new take its share little by little, under any strategy.

    A program that has just started is slow: caches are empty, code is not compiled, connections
    not made. While a node is new, each pick of it stands only with a probability that grows with
    its age; the other picks are made again, among the nodes that are not new. Nodes of the first
    set are not new, nor is any where all are. A node that another instance has taken over is new.

    Around it put ``OutlierEjection``, and a node that returns from there starts slowly, too.

    Source: Envoy, "Slow start mode"; there weights grow, here no strategy needs to have weights.

    Args:
        selector: The strategy.
        window: Seconds for which a node is new; more than 0.
        least: Share of its picks that a node gets at first, from 0 to 1.
        aggression: Bends the growth: 1 is linear, more is faster at first; more than 0.
        clock: Time.
        random: Gives numbers of [0, 1).

    Raises:
        ConfigError: A number is out of its range.
    """

    __slots__ = (
        "_exponent", "_ids", "_inner", "_least", "_now", "_random", "_since", "_window",
    )  # fmt: skip

    def __init__(
        self,
        selector: Selector,
        *,
        window: float = 30.0,
        least: float = 0.1,
        aggression: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
    ) -> None:
        if not 0 < window < float("inf") or not 0 < aggression < float("inf"):
            raise ConfigError(
                "window and aggression of a slow start are finite and more than 0, "
                f"not {window} and {aggression}"
            )
        if not 0 <= least <= 1:
            raise ConfigError(f"least={least} is no share from 0 to 1")
        self._inner = selector
        self._window = window * _SECOND
        self._least = least
        self._exponent = 1 / aggression
        self._now = nanoseconds(clock)
        self._random = random
        self._ids: dict[str, str] = {}
        self._since: dict[str, int] = {}  # of the new ones

    def share(self, address: str) -> float:
        """Return the share of its picks that an address gets now; 1 when it is not new."""
        since = self._since.get(address)
        return 1.0 if since is None else self._grown(self._now() - since)

    def apply(self, nodes: Sequence[Node], /) -> None:
        """Take over a set of nodes; see ``Selector``."""
        ids = {address: node.id for address, node in unique(nodes).items()}
        known, now = self._ids, self._now()
        since = self._since
        new = {
            address: since[address] if known.get(address) == instance else now
            for address, instance in ids.items()
            if known.get(address) != instance or address in since
        }
        self._since = new if known and len(new) < len(ids) else {}
        self._ids = ids
        self._inner.apply(nodes)

    def select(
        self,
        call: Call,
        *,
        filters: Sequence[NodeFilter] = (),
        avoid: Collection[str] = (),
    ) -> Pick:
        """Pick as the strategy does, and again if that is a new node's call to leave out."""
        pick = self._inner.select(call, filters=filters, avoid=avoid)
        if not self._since or self._stands(pick.node.address):
            return pick
        pick.done(Outcome.CANCELLED)
        return self._inner.select(call, filters=filters, avoid={*avoid, *self._since})

    def _stands(self, address: str) -> bool:
        since = self._since.get(address)
        if since is None:
            return True
        age = self._now() - since
        if age >= self._window:
            del self._since[address]
            return True
        return self._random() < self._grown(age)

    def _grown(self, age: int) -> float:
        part = min(1.0, max(0.0, age / self._window))
        return max(self._least, math.pow(part, self._exponent))
