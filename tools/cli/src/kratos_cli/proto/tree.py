"""The output folder: what belongs there, and what of it is missing or different."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kratos_cli.failure import CommandFailure
from kratos_cli.writing import write_whole
from protoc_gen_kratos import GeneratedFile

__all__ = ["Tree"]

_INIT: Final = "__init__.py"
_TYPED: Final = "py.typed"
_RELATIVE: Final = re.compile(r"^from (\.+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Generated modules, and the files that make packages of their folders.

    Attributes:
        out: The output folder.
        modules: Content of generated files, by path; what is there is replaced.
        markers: Empty files that are made where there are none.
        root_became_package: ``out`` was no package and has to be one.
    """

    out: Path
    modules: Mapping[Path, str]
    markers: Sequence[Path]
    root_became_package: bool

    @classmethod
    def plan(cls, out: Path, files: Iterable[GeneratedFile]) -> Tree:
        """Decide what belongs under ``out``.

        Every folder on the way to a module is a package. ``out`` itself is one if it has been
        one, if it lies in one, or if modules in it import each other across its top.
        """
        written = tuple(files)
        generated = [file for file in written if file.path.endswith((".py", ".pyi"))]
        was_package = any((folder / _INIT).is_file() for folder in (out, out.absolute().parent))
        must_be = any(_crosses_root(file) for file in generated)
        folders = {
            parent for file in generated for parent in Path(file.path).parents if parent.name
        }
        tops = {folder for folder in folders if len(folder.parts) == 1}
        if was_package or must_be:
            folders.add(Path())
            tops = {Path()}
        markers = [out / folder / _INIT for folder in folders]
        markers += [out / top / _TYPED for top in tops]
        return cls(
            out=out,
            modules={out / file.path: file.content for file in written},
            markers=sorted(path for path in markers if not path.exists()),
            root_became_package=must_be and not was_package,
        )

    def stale(self) -> list[Path]:
        """Return the files that ``write`` would make or change."""
        changed = [path for path, content in self.modules.items() if _read(path) != content]
        return sorted([*changed, *self.markers])

    def write(self) -> Iterator[Path]:
        """Write what is missing or different, and yield its paths; touch nothing else.

        Raises:
            CommandFailure: A link would be written through, to somewhere else.
            OSError: Something cannot be written.
        """
        for path in self.stale():
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() and not path.resolve().is_relative_to(self.out.resolve()):
                raise CommandFailure(f"{path} is a link that leads out of {self.out}; remove it")
            write_whole(path, self.modules.get(path, "").encode())
            yield path


def _crosses_root(file: GeneratedFile) -> bool:
    """Whether a module imports relative to the output folder itself."""
    depth = file.path.count("/")
    return any(len(dots[1]) > depth for dots in _RELATIVE.finditer(file.content))


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
