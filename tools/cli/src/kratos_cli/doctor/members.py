"""Installed members of Kratos, and whether they have what they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement

from kratos_cli.doctor.findings import Finding, good, problem

__all__ = ["installed", "look", "unmet"]

_AREA: Final = "members"
_OTHERS: Final = ("protoc-gen-kratos",)


def look() -> Iterator[Finding]:
    """Yield each member with its version, and each requirement that is not met."""
    there = installed()
    members = sorted(name for name in there if name.startswith("kratos-") or name in _OTHERS)
    for name in members:
        failures = list(unmet(name, there[name].requires or (), there))
        for failure in failures:
            yield problem(_AREA, f"{name} {there[name].version} {failure}")
        if not failures:
            yield good(_AREA, f"{name} {there[name].version}")


def installed() -> Mapping[str, metadata.Distribution]:
    """Return all installed distributions, by normalised name; of two the one that is imported."""
    found: dict[str, metadata.Distribution] = {}
    for each in metadata.distributions():
        name: str | None = each.metadata["Name"]
        if name:  # what is left of a broken installation has none
            found.setdefault(_normalised(name), each)
    return found


def unmet(
    name: str,
    lines: Iterable[str],
    there: Mapping[str, metadata.Distribution],
    *,
    extra: str = "",
) -> Iterator[str]:
    """Yield what is wrong with requirements, and what to do.

    Args:
        name: Whose they are.
        lines: The requirements.
        there: What is installed.
        extra: Look at those of this extra as well.
    """
    for line in lines:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            yield f"has a requirement that cannot be read: {line}; install {name} anew"
            continue
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
            continue
        found = there.get(_normalised(wanted.name))
        command = f"pip install '{wanted.name}{wanted.specifier}'"
        if found is None:
            yield f"needs {wanted.name}, which is not installed: {command}"
        elif not wanted.specifier.contains(found.version, prereleases=True):
            yield f"needs {wanted.name}{wanted.specifier}, but {found.version} is there: {command}"


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
