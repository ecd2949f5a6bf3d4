"""How much time a call had and has, told in one place for every reporter."""

from __future__ import annotations

import asyncio
import math
from typing import Final, NamedTuple

from kratos.transport.call import Call

__all__ = ["BUDGET", "BUDGET_LEFT", "Budget", "budget"]

BUDGET: Final = "budget"
"""Name, in logs, of the seconds that a call had."""
BUDGET_LEFT: Final = "budget_left"
"""Name, in logs, of the seconds of them that were left when it ended."""


class Budget(NamedTuple):
    """The time of one call at this hop, in seconds.

    Attributes:
        total: What the call had when whoever asks began to count: what its caller had left for
            it, or the time limit of this side, whichever is less.
        left: What is left of it; negative once the deadline has passed.
    """

    total: float
    left: float

    @property
    def used(self) -> float:
        """What was used up here; a call made from here had at most the rest."""
        return self.total - self.left

    def attributes(self, prefix: str = "kratos.") -> dict[str, float]:
        """Return the figures under the names that spans have them: ``kratos.budget`` and so on."""
        return {f"{prefix}{BUDGET}": self.total, f"{prefix}{BUDGET_LEFT}": self.left}


def budget(call: Call, used: float = 0.0) -> Budget | None:
    """Return the time of a call that runs in this event loop; ``None`` if it has no deadline.

    Nothing has to be noted when the call begins: a tracing middleware that measures how long a
    call takes asks at its end.

    Args:
        call: The call, under way or ended.
        used: Seconds since one began to count, as the reporter has measured them anyway.
    """
    deadline = call.deadline
    if deadline is None or deadline == math.inf:
        return None
    left = deadline - asyncio.get_running_loop().time()
    return Budget(left + used, left)
