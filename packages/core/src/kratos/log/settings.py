"""What can be set of the logging of a process, and how a configuration says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Final, cast, get_args

from kratos.errors import ConfigError
from kratos.log._interface import Level, require_level
from kratos.log.line import Format

if TYPE_CHECKING:
    from kratos.config import Snapshot

__all__ = ["LogSettings", "read"]

_LEVELS: Final[Mapping[str, Level]] = {
    **{level.name.lower(): level for level in Level},
    "warning": Level.WARN,
    "critical": Level.FATAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The arguments of ``setup``, where they are described.

    Raises:
        TypeError: A level is none.
        ValueError: There is no such format.
    """

    level: Level = Level.INFO
    format: Format = "auto"
    levels: Mapping[str, Level] = field(default_factory=dict[str, Level])
    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    logger: str = "line"

    def __post_init__(self) -> None:
        for level in (self.level, *self.levels.values()):
            require_level(level)
        if self.format not in get_args(Format):
            raise ValueError(f"format must be auto, json, text or color, got {self.format!r}")

    def level_of(self, name: str) -> Level:
        """Return the level of a module: of its name, or of the nearest one above it."""
        while name:
            if name in self.levels:
                return self.levels[name]
            name = name.rpartition(".")[0]
        return self.level


def read(snapshot: Snapshot, key: str, base: LogSettings) -> LogSettings:
    """Return the settings that a part of a configuration asks for, on top of others.

    Raises:
        ConfigError: There is a key that says nothing, or a value that is none of those possible;
            the text names it and them.
    """
    if key not in snapshot or snapshot[key] is None:
        return base
    part = snapshot[key]
    if isinstance(part, str):
        return replace(base, logger=part)
    section = snapshot.section(key)
    known = [each.name for each in fields(LogSettings)]
    for name in section.tree:
        if name not in known:
            raise ConfigError(
                f"configuration key '{key}.{name}' says nothing: there are {', '.join(known)}"
            )
    kept: dict[str, object] = {}
    if "level" in section:
        kept["level"] = _level(section["level"], f"{key}.level")
    if "levels" in section:
        kept["levels"] = {**base.levels, **_levels(section["levels"], f"{key}.levels", "")}
    if "fields" in section:
        kept["fields"] = {**base.fields, **section.section("fields").tree}
    if "logger" in section:
        kept["logger"] = section.get("logger", str)
    if "format" in section:
        kept["format"] = _format(section["format"], f"{key}.format")
    return replace(base, **kept)  # type: ignore[arg-type]  # checked one by one


def _level(value: object, key: str) -> Level:
    found = _LEVELS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise ConfigError(f"configuration value '{key}' must be debug, info, warn, error or fatal")
    return found


def _levels(value: object, key: str, before: str) -> dict[str, Level]:
    """Return levels by dotted name; sources of dotted keys nest what files write in one name."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"configuration value '{key}' must be levels by names of modules")
    found: dict[str, Level] = {}
    for name, part in cast("Mapping[str, object]", value).items():
        if isinstance(part, Mapping):
            found |= _levels(cast("object", part), f"{key}.{name}", f"{before}{name}.")
        else:
            found[f"{before}{name}"] = _level(part, f"{key}.{name}")
    return found


def _format(value: object, key: str) -> Format:
    if value not in get_args(Format):
        raise ConfigError(f"configuration value '{key}' must be auto, json, text or color")
    return cast("Format", value)
