"""Which files are looked at."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kratos_cli.failure import CommandFailure
from kratos_cli.lint.settings import Settings, matches, root_of

__all__ = ["Group", "grouped", "may_be_read", "walk"]

_SKIPPED: Final = frozenset(("build", "dist", "node_modules", "site-packages", "third_party"))
_GENERATED: Final = ("_pb2.py", "_pb2_grpc.py", "_kratos.py", "_kratos_mock.py", "_cache.py")
_ENDINGS: Final = (".json", ".proto", ".py", ".toml", ".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Files of one project.

    Attributes:
        root: Its folder.
        settings: What it says.
        code: Files of Python that somebody wrote.
        definitions: Definitions.
        others: What may be files of its configuration.
        is_project: Whether there is a ``pyproject.toml``.
    """

    root: Path
    settings: Settings
    code: Sequence[Path]
    definitions: Sequence[Path]
    others: Sequence[Path]
    is_project: bool

    @property
    def rules(self) -> Collection[str]:
        """The rules that are kept in it."""
        return self.settings.rules


def grouped(given: Sequence[str], settings: Callable[[Path], Settings]) -> Iterator[Group]:
    """Yield the files in what was given, by project.

    Args:
        given: Files and folders.
        settings: Reads those of a project, by its folder.

    Raises:
        CommandFailure: Something is not there, or is of a kind that is not looked at.
    """
    roots: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(_all(given)):
        roots.setdefault(root_of(path), []).append(path)
    for root, paths in sorted(roots.items()):
        said = settings(root)
        kept = [path for path in paths if not matches(path, root, said.exclude)]
        code = [path for path in kept if path.suffix == ".py"]
        yield Group(
            root=root,
            settings=said,
            code=[path for path in code if not path.name.endswith(_GENERATED)],
            definitions=[path for path in kept if path.suffix == ".proto"],
            others=[path for path in kept if path.suffix not in (".py", ".proto")],
            is_project=(root / "pyproject.toml").is_file(),
        )


def walk(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files below a folder, but not what is hidden, built or installed there."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not Path(here, name, "pyvenv.cfg").is_file()
        )
        paths = (Path(here, name) for name in sorted(files) if name.endswith(endings))
        yield from filter(may_be_read, paths)


def may_be_read(path: Path) -> bool:
    """Whether reading would end: of a pipe it may not."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return True  # which is told when it is read


def _all(given: Sequence[str]) -> Iterator[Path]:
    for text in given:
        path = Path(text)
        if path.is_dir():
            yield from walk(path, _ENDINGS)
        elif not path.is_file():
            raise CommandFailure(f"{text} does not exist", status=2)
        elif path.suffix in _ENDINGS:
            yield path
        else:
            wanted = ", ".join(_ENDINGS)
            raise CommandFailure(f"{text} is of no kind that is looked at: {wanted}", status=2)
