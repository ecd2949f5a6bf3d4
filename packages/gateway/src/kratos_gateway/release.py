"""What a control service tells, and the files that it goes to."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import Gateway
from kratos_gateway.config import parse, parse_priority, problems

__all__ = ["ConfigFiles", "Priority", "Release"]

_KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_OWN: Final = 0o600  # it may hold keys of TLS
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """One priority configuration of a release.

    Attributes:
        key: Its name, which becomes that of its file.
        config: Its text.
        version: Its version.
    """

    key: str
    config: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What a control service wants to be served.

    Attributes:
        config: Text of the main configuration.
        version: Its version.
        priorities: Priority configurations.
    """

    config: str
    version: str
    priorities: Sequence[Priority] = ()

    @classmethod
    def of(cls, told: object) -> Release:
        """Return the release of an answer in JSON.

        Raises:
            ConfigError: It is none, or a configuration of it cannot be read or served; says which.
        """
        answer = _mapping(told, "the answer")
        listed: object = answer.get("priorityConfigs")
        if listed is None:
            listed = []
        if not isinstance(listed, list):
            raise ConfigError("priorityConfigs of the answer is no list")
        config = _indented(_text(answer, "config"), "config of the answer")
        _require_sound(parse(config, name="config of the answer"), "config of the answer")
        return cls(
            config=config,
            version=_text(answer, "version"),
            priorities=tuple(_priority(each) for each in cast("list[object]", listed)),
        )


class ConfigFiles:
    """The files that a release is written to, whole or not at all.

    Each is written beside its place and then put there, so that no reader sees a part of it.

    Args:
        path: The main file.
        priorities: Folder of priority configurations; ``None`` to leave them out.
    """

    def __init__(self, path: str | os.PathLike[str], priorities: str | None = None) -> None:
        self.path = Path(path)
        self._priorities = None if priorities is None else Path(priorities)

    @property
    def has_priorities(self) -> bool:
        """Whether there is a place for priority configurations."""
        return self._priorities is not None

    def write(self, release: Release) -> None:
        """Write a release; blocks.

        Raises:
            OSError: A file cannot be written.
        """
        if self._priorities is not None:
            self._write_priorities(self._priorities, release.priorities)
        _replace(self.path, self.path.with_name(f"{self.path.name}.{uuid4()}.tmp"), release.config)

    def _write_priorities(self, folder: Path, priorities: Sequence[Priority]) -> None:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for each in priorities:
            _replace(folder / f"{each.key}.yaml", folder / f"{each.key}.yaml.tmp", each.config)
        names = {f"{each.key}.yaml" for each in priorities}
        for path in folder.glob("*.yaml"):
            if path.name not in names:
                path.unlink(missing_ok=True)


def _priority(told: object) -> Priority:
    item = _mapping(told, "an element of priorityConfigs")
    key = _text(item, "key")
    if not _KEY.fullmatch(key):
        # It becomes the name of a file, and must not lead out of its folder.
        raise ConfigError(f"key {key!r:.80} has letters, digits, '.', '_' and '-' only")
    config = _indented(_text(item, "config"), f"priority configuration {key}")
    name = f"priority configuration {key}"
    parsed = parse_priority(config, name=name)
    _require_sound(Gateway(endpoints=parsed.endpoints), name)
    return Priority(key=key, config=config, version=_text(item, "version"))


def _require_sound(gateway: Gateway, name: str) -> None:
    """Refuse what would be refused as it is put in force, and by the next start, too."""
    wrong = next((each for each in problems(gateway) if each.fatal), None)
    if wrong is not None:
        raise ConfigError(f"{name}: {wrong.place}: {wrong.text}")


def _mapping(told: object, what: str) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise ConfigError(f"{what} is no object in JSON")
    return cast("dict[str, Any]", told)


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name, "")
    if not isinstance(value, str):
        raise ConfigError(f"{name} of the answer is no text")
    return value


def _indented(text: str, name: str) -> str:
    """Return a text in JSON as people read it; it is YAML, too."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    except ValueError as error:
        raise ConfigError(f"{name} is no JSON: {error}") from error


def _replace(path: Path, beside: Path, text: str) -> None:
    """Put a text in the place of a file, whole or not at all."""
    mode = _OWN
    with suppress(FileNotFoundError):
        mode = stat.S_IMODE(path.stat().st_mode)
    try:
        with os.fdopen(os.open(beside, _NEW, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
