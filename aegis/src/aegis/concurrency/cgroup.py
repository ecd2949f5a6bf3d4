"""The CPU time that the process' control group uses and may use, of version 1 or 2."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Cgroup", "CgroupUnreadable", "cpu_max", "cpus_in", "find_cgroup", "usage_of"]

_ROOT: Final = Path("/")
_MOUNT: Final = "sys/fs/cgroup"
_MEMBERSHIP: Final = "proc/self/cgroup"


class CgroupUnreadable(Exception):
    """The control group's CPU time cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A control group whose CPU time is read.

    Attributes:
        usage: File that tells the CPU time.
        quota: CPUs that the group may use: its share of time, or the number of its CPUs.
    """

    usage: Path
    quota: float

    def used(self) -> int:
        """Return nanoseconds of CPU time used so far.

        Raises:
            OSError: The file cannot be read.
            ValueError: It does not tell.
        """
        return usage_of(self.usage.read_text(encoding="ascii"))


def find_cgroup(root: Path = _ROOT) -> Cgroup:
    """Return the control group of this process.

    Of the group and its parents it is the one with the least share of time, as that one slows the
    process down first; the group itself if none has a limit. Where its path is not to be seen, as
    in a container that has the host's names, it is the root of the mount.

    Args:
        root: Where the file system begins.

    Raises:
        CgroupUnreadable: There is none, or its files make no sense.
    """
    mount = root / _MOUNT
    try:
        paths = _paths((root / _MEMBERSHIP).read_text(encoding="utf-8"))
        if (mount / "cgroup.controllers").exists():
            return _version_2(mount, paths.get("", "/"))
        return _version_1(mount, paths)
    except (OSError, ValueError) as error:
        msg = f"no CPU time of a control group below {mount}: {error}"
        raise CgroupUnreadable(msg) from error


def cpus_in(text: str) -> frozenset[int]:
    """Return the numbers in a list like ``0-2,4``.

    Raises:
        ValueError: It is not such a list.
    """
    found: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, dash, last = part.partition("-")
        low, high = _number(first), _number(last if dash else first)
        if high < low:
            msg = f"range {part!r} of CPUs runs backwards"
            raise ValueError(msg)
        found.update(range(low, high + 1))
    return frozenset(found)


def cpu_max(text: str) -> float | None:
    """Return the CPUs that ``cpu.max`` (``<quota> <period>``) allows; ``None`` is no limit.

    Raises:
        ValueError: It has another form, or a quota or period of 0.
    """
    fields = text.split()
    if len(fields) != 2:
        msg = f"cpu.max must be two fields, got {text!r}"
        raise ValueError(msg)
    return None if fields[0] == "max" else _share(int(fields[0]), int(fields[1]))


def usage_of(text: str) -> int:
    """Return nanoseconds from ``cpu.stat`` (version 2) or ``cpuacct.usage`` (version 1).

    Raises:
        ValueError: ``cpu.stat`` has no ``usage_usec``.
    """
    if text.strip().isdigit():
        return int(text)
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec":
            return int(value) * 1000
    msg = f"cpu.stat has no usage_usec: {text!r}"
    raise ValueError(msg)


def _version_2(mount: Path, own: str) -> Cgroup:
    places = list(_upwards(mount, own))
    limits = [_limit_2(place) for place in places]
    cpus = next((n for place in places if (n := _cpus(place / "cpuset.cpus.effective"))), _host())
    return _tightest([place / "cpu.stat" for place in places], limits, cpus)


def _limit_2(place: Path) -> float | None:
    file = place / "cpu.max"  # the root of the machine has none
    return cpu_max(file.read_text(encoding="ascii")) if file.exists() else None


def _version_1(mount: Path, paths: dict[str, str]) -> Cgroup:
    times = list(_upwards(mount / "cpuacct", paths.get("cpuacct", "/")))
    shares = list(_upwards(mount / "cpu", paths.get("cpu", "/")))
    sets = _upwards(mount / "cpuset", paths.get("cpuset", "/"))
    limits = [_limit_1(place) for place in shares]
    cpus = next((n for place in sets if (n := _cpus(place / "cpuset.cpus"))), 0)
    files = [place / "cpuacct.usage" for place in times]
    if len(files) != len(limits):  # the controllers have hierarchies of their own
        known = [limit for limit in limits if limit is not None]
        files, limits = files[:1], [min(known) if known else None]
    return _tightest(files, limits, cpus or _cpus_used(times[-1]) or _host())


def _limit_1(place: Path) -> float | None:
    quota = int((place / "cpu.cfs_quota_us").read_text(encoding="ascii"))
    period = int((place / "cpu.cfs_period_us").read_text(encoding="ascii"))
    return None if quota == -1 else _share(quota, period)


def _tightest(files: list[Path], limits: list[float | None], cpus: int) -> Cgroup:
    # The nearest of equal ones, so that neighbours are not counted without need.
    bounds = [(limit, number) for number, limit in enumerate(limits) if limit is not None]
    limit, number = min(bounds, default=(float(cpus), 0))
    found = Cgroup(files[number], min(limit, float(cpus)))
    found.used()
    return found


def _upwards(mount: Path, own: str) -> Iterable[Path]:
    place = mount / own.strip("/")
    if ".." in place.parts or not place.is_dir():
        place = mount  # the path is one of another name space
    while place != mount:
        yield place
        place = place.parent
    yield mount


def _paths(text: str) -> dict[str, str]:
    """Return the path of each controller; version 2 has one without a name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, first, rest = line.partition(":")
        controllers, second, path = rest.partition(":")
        if not first or not second:
            msg = f"line {line!r} of {_MEMBERSHIP} is not <id>:<controllers>:<path>"
            raise ValueError(msg)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _cpus(file: Path) -> int:
    return len(cpus_in(file.read_text(encoding="ascii"))) if file.exists() else 0


def _cpus_used(place: Path) -> int:
    file = place / "cpuacct.usage_percpu"
    return sum(int(n) > 0 for n in file.read_text(encoding="ascii").split()) if file.exists() else 0


def _host() -> int:
    return os.cpu_count() or 1


def _share(quota: int, period: int) -> float:
    if period <= 0:
        msg = f"period of the CPU quota must be more than 0, got {period}"
        raise ValueError(msg)
    if quota <= 0:
        msg = f"CPU quota must be more than 0, got {quota}"
        raise ValueError(msg)
    return quota / period


def _number(text: str) -> int:
    if not text.isdigit():
        msg = f"{text!r} is no number of a CPU"
        raise ValueError(msg)
    return int(text)
