"""What ties this process to itself, and which of a supervisor's workers it is.

A library with threads of its own, such as gRPC, cannot be carried over into other processes, and
one that was begun in a supervisor would be begun there for nothing. Transports that use one tell
so here, without the core having to know them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["add_probe", "become_worker", "ties", "worker_slot"]

_probes: Final[list[Callable[[], str | None]]] = []
_slots: Final[list[int]] = []  # at most one


def add_probe(probe: Callable[[], str | None], /) -> None:
    """Have ``probe`` asked whenever somebody wants to know what this process is tied to.

    Args:
        probe: Returns what was begun here, for instance ``gRPC (a channel)``; ``None`` if nothing.
    """
    _probes.append(probe)


def ties() -> tuple[str, ...]:
    """Return what was begun in this process that only this process can use."""
    return tuple(found for probe in _probes if (found := probe()) is not None)


def become_worker(slot: int, /) -> None:
    """Note that this process is a supervisor's worker; ``kratos.worker`` calls this first."""
    _slots[:] = [slot]


def worker_slot() -> int | None:
    """Return the number of this worker, from 0; ``None`` in a process that is no worker.

    A worker that is started in place of another has its number, so it makes a label for
    metrics, or a name for files, of which there will not be more and more.
    """
    return _slots[0] if _slots else None
