"""What was found, and how bad it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum

__all__ = ["Finding", "Level", "good", "note", "problem"]


class Level(Enum):
    """How bad it is; only a problem makes the command fail."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: How bad it is.
        area: Which part of the examination it belongs to.
        text: What it is; of a problem also what to do.
    """

    level: Level
    area: str
    text: str

    def as_json(self) -> dict[str, str]:
        """Return it as an object of texts."""
        return asdict(self) | {"level": self.level.value}


def good(area: str, text: str) -> Finding:
    """Return what is as it should be."""
    return Finding(level=Level.OK, area=area, text=text)


def note(area: str, text: str) -> Finding:
    """Return what one may want to know."""
    return Finding(level=Level.NOTE, area=area, text=text)


def problem(area: str, text: str) -> Finding:
    """Return what has to be mended."""
    return Finding(level=Level.PROBLEM, area=area, text=text)
