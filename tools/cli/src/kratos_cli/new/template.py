"""A folder of templates, and the project that it makes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from kratos_cli.failure import CommandFailure
from kratos_cli.new.render import render, replace
from kratos_cli.parsing import nearest

__all__ = ["Generation", "Template"]

SETTINGS: Final = "kratos-template.toml"
_KEYS: Final = {
    "": ("generate", "rename", "service"),
    "generate": ("out", "protos", "root", "shared"),
    "service": ("without",),
}
_SUFFIX: Final = ".tmpl"
_SKIPPED: Final = frozenset(
    {".git", ".kratos", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", "__pycache__"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Code that is generated in the new project, as by ``kratos proto PROTOS -I ROOT -o OUT``.

    Attributes:
        protos: Folder of definitions.
        root: Folder that their names start from.
        out: Folder to write into.
        shared: A repository has it once, for all of its services.
    """

    protos: str
    root: str
    out: str
    shared: bool = False


class Template:
    """A folder of templates.

    All of its text files are rendered, names and contents; an ending ``.tmpl`` is dropped. A file
    of which nothing is left is left out. ``kratos-template.toml`` says the rest.

    Args:
        folder: Where it is.

    Attributes:
        folder: Where it is.

    Raises:
        CommandFailure: What it says of itself is wrong.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / SETTINGS
        try:
            text = file.read_text(encoding="utf-8") if file.is_file() else ""
            self._settings = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CommandFailure(f"the template's {SETTINGS} is wrong: {error}") from error
        _refuse_unknown(self._settings)
        self._without = _texts(self._settings.get("service", {}), "without")
        self._rename = str(self._settings.get("rename", ""))

    def sources(self) -> Iterator[tuple[Path, bool]]:
        """Yield the path within the template, and whether it is a program, of each of its files.

        Raises:
            CommandFailure: One is a link.
        """
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder)
            if not _SKIPPED.isdisjoint(inside.parts):
                continue
            if path.is_symlink():
                raise CommandFailure(f"the template's {inside} is a link; links are not copied")
            if path.is_file():
                yield inside, _is_program(path)

    def files(
        self, values: Mapping[str, str], flags: Mapping[str, bool]
    ) -> Iterator[tuple[PurePosixPath, bytes, bool]]:
        """Yield path, content and whether it is a program, of each file of the project.

        Raises:
            CommandFailure: A file cannot be rendered, is a link, or would lie where another one
                does, or nowhere.
        """
        made: dict[PurePosixPath, Path] = {}
        for inside, is_program in self.sources():
            if inside.parts[0] == SETTINGS:
                continue
            name = self._named(replace(inside.as_posix(), values), values).removesuffix(_SUFFIX)
            target = PurePosixPath(name)
            if not _is_inside(target):
                raise CommandFailure(f"the template's {inside} has no name without {_SUFFIX}")
            if flags["service"] and any(target.is_relative_to(item) for item in self._without):
                continue
            content = (self.folder / inside).read_bytes()
            rendered = self._rendered(content, values, flags, where=str(inside))
            if rendered or not content:
                if made.setdefault(target, inside) != inside:
                    raise CommandFailure(
                        f"the template has {target} twice: {made[target]} and {inside}"
                    )
                yield target, rendered, rendered.startswith(b"#!") or is_program

    def generations(self, values: Mapping[str, str]) -> Iterator[Generation]:
        """Yield what to generate, in this order.

        Raises:
            CommandFailure: What the template says of it is wrong.
        """
        tables: object = self._settings.get("generate", [])
        for table in cast("list[object]", tables) if isinstance(tables, list) else [tables]:
            try:
                given = cast("dict[str, Any]", table)
                texts = {key: replace(given[key], values) for key in ("protos", "root", "out")}
                generation = Generation(**texts, shared=given.get("shared") is True)
            except (KeyError, TypeError) as error:
                raise CommandFailure(
                    f"the template's {SETTINGS}: a table [[generate]] has the texts protos, root "
                    "and out, and perhaps shared = true"
                ) from error
            for key, text in texts.items():
                if text != "." and not _is_inside(PurePosixPath(text)):
                    raise CommandFailure(
                        f"the template's {SETTINGS}: {key} = {text!r} leads out of the project"
                    )
            yield generation

    def _rendered(
        self, content: bytes, values: Mapping[str, str], flags: Mapping[str, bool], *, where: str
    ) -> bytes:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            return content  # a picture, say
        text = render(text, values, flags, where=where)
        return self._named(text, values).encode("utf-8")

    def _named(self, text: str, values: Mapping[str, str]) -> str:
        """Return a text of a template that is a project itself, with the new project's name."""
        if not self._rename:
            return text
        package = self._rename.replace("-", "_")
        names = {self._rename: values["name"], package: values["package"]}
        words = "|".join(re.escape(name) for name in names)
        text = re.sub(rf"(?<![\w-])(?:{words})(?![\w-])", lambda found: names[found[0]], text)
        return re.sub(rf"(?<!\w){re.escape(package.upper())}_", values["PREFIX"], text)


def _refuse_unknown(settings: Mapping[str, object]) -> None:
    """Fail at a key that nobody reads: a slip in it would go unnoticed."""
    tables: list[tuple[str, object]] = [("", settings)]
    for name in ("generate", "service"):
        found = settings.get(name)
        several = cast("list[object]", found) if isinstance(found, list) else [found]
        tables += [(name, each) for each in several]
    for name, table in tables:
        for key in cast("dict[str, object]", table) if isinstance(table, dict) else ():
            if key not in _KEYS[name]:
                hint = nearest(key, _KEYS[name]) or f"; there are {', '.join(_KEYS[name])}"
                where = f"{name}.{key}" if name else key
                raise CommandFailure(f"the template's {SETTINGS}: there is no {where}{hint}")


def _is_inside(path: PurePosixPath) -> bool:
    """Whether a path is one of something in the folder that it starts from."""
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _texts(table: object, key: str) -> tuple[str, ...]:
    given = cast("dict[str, object]", table) if isinstance(table, dict) else {key: None}
    found = given.get(key, [])
    if not isinstance(found, list) or not all(
        isinstance(item, str) for item in cast("list[object]", found)
    ):
        raise CommandFailure(f"the template's {SETTINGS}: {key!r} has to be a list of texts")
    return tuple(cast("list[str]", found))


def _is_program(path: Path) -> bool:
    return path.stat().st_mode & 0o100 != 0
