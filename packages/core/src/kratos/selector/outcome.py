"""How a call on a picked node ended, for the statistics of selectors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

__all__ = ["Outcome", "OutcomeKind"]


class OutcomeKind(Enum):
    """What an end says about the node."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call on a picked node ended.

    Attributes:
        kind: What the end says about the node. ``CANCELLED`` says nothing: it frees the slot,
            and is neither a success nor a failure.
        error: What failed; ``None`` unless the kind is ``FAILURE``.
    """

    SUCCESS: ClassVar[Outcome]
    CANCELLED: ClassVar[Outcome]

    kind: OutcomeKind
    error: BaseException | None = None

    @classmethod
    def failure(cls, error: BaseException | None = None) -> Outcome:
        """Return the outcome of a call that the node failed."""
        return cls(kind=OutcomeKind.FAILURE, error=error)


Outcome.SUCCESS = Outcome(kind=OutcomeKind.SUCCESS)
Outcome.CANCELLED = Outcome(kind=OutcomeKind.CANCELLED)
