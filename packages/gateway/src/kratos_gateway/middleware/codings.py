"""Which content coding a client prefers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

__all__ = ["Encoder", "chosen"]

_MOST: Final = 32  # preferences of one header; the rest is not looked at


class Encoder(Protocol):
    """Compresses one body."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a piece; return what is ready."""
        ...

    def flush(self) -> bytes:
        """Return all that can be read so far."""
        ...

    def finish(self) -> bytes:
        """Return the rest."""
        ...


def chosen(accepted: bytes, offered: Sequence[str], /) -> str:
    """Return the coding that a client likes best, the first offered of several; empty for none.

    Args:
        accepted: ``Accept-Encoding``.
        offered: Names of codings, the best first.
    """
    weights: dict[str, float] = {}
    for part in accepted.decode("latin-1").lower().split(",")[:_MOST]:
        name, _, parameters = part.partition(";")
        name = name.strip()
        # Who names the old alias means the same.
        weights["gzip" if name == "x-gzip" else name] = _weight(parameters)
    rest = weights.get("*", 0.0)
    liked = [(weights.get(name, rest), -place, name) for place, name in enumerate(offered)]
    weight, _, best = max(liked, default=(0.0, 0, ""))
    return best if weight > 0 else ""


def _weight(parameters: str) -> float:
    key, _, value = parameters.partition("=")
    if key.strip() != "q":
        return 1.0
    text = value.strip()
    return float(text) if text.replace(".", "", 1).isdecimal() and len(text) <= 5 else 0.0
