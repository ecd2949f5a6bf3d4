"""A look at a server that is soaked."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Final

from tests.soak.judge import Sample

__all__ = ["number", "sample"]

_PATIENCE: Final = 60.0  # seconds, since a server under all loads at once takes its time


def sample(pid: int, address: str, at: float) -> Sample:
    """Return what a server is at this moment.

    Args:
        pid: Its process.
        address: Where it answers over HTTP.
        at: How far the run has come; negative before.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return Sample(
        at=at,
        rss=int(line.split()[1]) * 1024,
        fds=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        tasks=number(address, "/tasks"),
    )


def number(address: str, path: str) -> int:
    """Return a number that a server tells."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=_PATIENCE) as answer:
        return int(answer.read())
