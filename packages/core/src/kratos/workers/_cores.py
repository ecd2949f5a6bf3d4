"""How many cores this process may use, containers included."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

__all__ = ["available_cores", "quota_of"]

_CGROUP: Final = Path("/sys/fs/cgroup")


def available_cores(root: Path = _CGROUP) -> int:
    """Return how many cores this process may use: of its affinity, or fewer by its CPU limit.

    A container with a limit of 1.5 CPUs on a machine of 64 has two.

    Args:
        root: Where control groups are mounted; in a container, its own one is there.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = os.cpu_count() or 1 if affinity is None else len(affinity(0))
    quota = _quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def quota_of(quota: str, period: str) -> float | None:
    """Return the CPUs of a limit as control groups tell it; ``None`` for no limit."""
    if not quota.isdigit() or not period.isdigit() or not int(period):  # "max", or -1
        return None
    return int(quota) / int(period)


def _quota(root: Path) -> float | None:
    try:
        quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return _quota_of_version_1(root / "cpu")
    return quota_of(quota, period)


def _quota_of_version_1(group: Path) -> float | None:
    try:
        quota = (group / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
        period = (group / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return quota_of(quota, period)
