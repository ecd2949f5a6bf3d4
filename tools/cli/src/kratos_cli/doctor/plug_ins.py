"""Plug-ins by entry points: which load, which do not, and why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from kratos import plugins
from kratos.errors import ConfigError, KratosError
from kratos_cli.doctor.findings import Finding, good, note, problem

__all__ = ["GROUPS", "look"]

_AREA: Final = "plug-ins"
GROUPS: Final = (
    "kratos.cli",
    "kratos.config",
    "kratos.encoding",
    "kratos.log",
    "kratos.metrics",
    "kratos.registry",
    "kratos.selector",
    "kratos.store",
    "kratos.tracing",
    "kratos.transport",
)
# Of these a process has one, which an application takes by itself.
_SOLE: Final = ("kratos.metrics", "kratos.tracing")


def look() -> Iterator[Finding]:
    """Yield what was found."""
    try:
        for group in GROUPS:
            yield from _group(group)
    except ConfigError as error:
        yield problem(_AREA, str(error))
        return
    disabled = os.environ.get(plugins.DISABLED)
    if disabled:
        yield note(_AREA, f"{plugins.DISABLED} leaves out {disabled}")


def _group(group: str) -> Iterator[Finding]:
    loaded: list[str] = []
    for name in sorted({plugin.name for plugin in plugins.find(group)}):
        try:
            plugins.load(group, name)
        except KratosError as error:
            yield problem(_AREA, f"{error}{_because(error)}")
        else:
            loaded.append(name)
    if loaded:
        yield good(_AREA, f"{group}: {', '.join(loaded)}")
    if group in _SOLE and len(loaded) > 1:
        try:
            plugins.sole(group)
        except ConfigError as error:
            yield problem(_AREA, str(error))


def _because(error: KratosError) -> str:
    cause = error.__cause__
    if cause is None or str(cause) in str(error):
        return ""
    return f": {type(cause).__name__}: {cause}"
