"""What a project says in ``[tool.kratos.lint]`` of its ``pyproject.toml``."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import Any, Final, cast

from kratos_cli.failure import CommandFailure
from kratos_cli.lint.layering import LAYERS
from kratos_cli.lint.rules import chosen
from kratos_cli.parsing import nearest

__all__ = ["Configuration", "Settings", "matches", "root_of"]

_FILE: Final = "pyproject.toml"
_PATTERNS: Final = tuple(f"configs/*.{ending}" for ending in ("json", "toml", "yaml", "yml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Files of a configuration, and the message that they have to fit.

    Attributes:
        files: Patterns of their paths, from the folder of the project.
        message: Name of the message; one without dots is that in whichever package has it.
    """

    files: Collection[str] = _PATTERNS
    message: str = "Bootstrap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a project says.

    Attributes:
        rules: The rules to keep.
        exclude: Patterns of paths to leave out, from the folder of the project.
        blocking: Dotted names of further functions that block.
        layers: Layers, and which of the others each may import.
        configs: Files of configuration.
    """

    rules: Collection[str]
    exclude: Collection[str] = ()
    blocking: Collection[str] = ()
    layers: Mapping[str, Collection[str]] = field(default_factory=lambda: LAYERS)
    configs: Collection[Configuration] = (Configuration(),)

    @classmethod
    def of(cls, root: Path, *, select: Collection[str], ignore: Collection[str]) -> Settings:
        """Read those of a project.

        Args:
            root: Its folder.
            select: Rules that the command line selects, in place of those of the project.
            ignore: Rules that it does without, besides those of the project.

        Raises:
            CommandFailure: They are wrong.
        """
        table = _Table(root / _FILE, _read(root / _FILE))
        table.check({"blocking", "configs", "exclude", "ignore", "layers", "select"})
        theirs = chosen(table.texts("select"), table.texts("ignore"), where=table.where)
        rules = chosen(select, ignore, where="the command line")
        if select:
            theirs = chosen((), table.texts("ignore"), where=table.where)
        found = cls(
            rules=theirs & rules, exclude=table.texts("exclude"), blocking=table.texts("blocking")
        )
        layers = table.tables("layers")
        configs = table.rows("configs")
        return cls(
            rules=found.rules,
            exclude=found.exclude,
            blocking=found.blocking,
            layers=_layers(layers) if layers is not None else LAYERS,
            configs=tuple(map(_configuration, configs)) if configs is not None else found.configs,
        )


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file, whose members are looked at before they are used."""

    path: Path
    content: Mapping[str, Any]
    name: str = "tool.kratos.lint"

    @property
    def where(self) -> str:
        return f"{self.path}: [{self.name}]"

    def check(self, known: Collection[str]) -> None:
        for key in self.content:
            if key not in known:
                hint = nearest(key, known) or f"; there are {', '.join(sorted(known))}"
                raise CommandFailure(f"{self.where} has no {key!r}{hint}", status=2)

    def texts(self, key: str) -> tuple[str, ...]:
        value: object = self.content.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, "a list of texts")
        items = cast("list[object]", value)
        if not all(isinstance(item, str) for item in items):
            raise self._wrong(key, "a list of texts")
        return tuple(str(item) for item in items)

    def text(self, key: str) -> str:
        value: object = self.content.get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text")
        return value

    def tables(self, key: str) -> _Table | None:
        value: object = self.content.get(key)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(key, "a table")
        table = cast("dict[str, Any] | None", value)
        return None if table is None else _Table(self.path, table, f"{self.name}.{key}")

    def rows(self, key: str) -> list[_Table] | None:
        value: object = self.content.get(key)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._wrong(key, "a list of tables")
        rows = cast("list[object]", value)
        if not all(isinstance(row, dict) for row in rows):
            raise self._wrong(key, "a list of tables")
        return [
            _Table(self.path, cast("dict[str, Any]", row), f"{self.name}.{key}") for row in rows
        ]

    def _wrong(self, key: str, wanted: str) -> CommandFailure:
        return CommandFailure(f"{self.where} {key} has to be {wanted}", status=2)


def matches(path: Path, root: Path, patterns: Collection[str]) -> bool:
    """Tell whether a file is meant by a pattern.

    Args:
        path: The file.
        root: The folder that patterns start from.
        patterns: Paths, of folders too; ``*`` stands for a part of a name, ``**`` for any folders.
    """
    relative = Path(os.path.relpath(path.absolute(), root))
    wholes = (relative, *relative.parents)
    return any(_fits(whole, PurePath(pattern)) for pattern in patterns for whole in wholes)


def _fits(path: PurePath, pattern: PurePath) -> bool:
    if "**" in pattern.parts:
        return fnmatch(path.as_posix(), pattern.as_posix().replace("**/", "*"))
    return len(path.parts) == len(pattern.parts) and path.match(str(pattern))


def root_of(path: Path) -> Path:
    """Return the folder of the project that a file is in: the nearest with a ``pyproject.toml``.

    Without one it is the current folder.
    """
    for folder in path.absolute().parents:
        if (folder / _FILE).is_file():
            return folder
    return Path.cwd()


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        found: object = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandFailure(f"{path} cannot be read: {error}", status=2) from error
    for name in ("tool", "kratos", "lint"):
        found = cast("Mapping[str, object]", found).get(name, {})
        if not isinstance(found, dict):
            raise CommandFailure(f"{path}: {name} of [tool.kratos.lint] is no table", status=2)
    return cast("Mapping[str, Any]", found)


def _layers(table: _Table) -> Mapping[str, Collection[str]]:
    layers = {name: table.texts(name) for name in table.content}
    for name, allowed in layers.items():
        for other in allowed:
            if other not in layers:
                hint = nearest(other, layers)
                raise CommandFailure(
                    f"{table.where} {name} may import {other!r}, which is no layer{hint}", status=2
                )
    return layers


def _configuration(row: _Table) -> Configuration:
    row.check({"files", "message"})
    return Configuration(files=row.texts("files"), message=row.text("message"))
