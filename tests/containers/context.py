"""What a build may copy: the files of a folder but those that ``.dockerignore`` names."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

__all__ = ["Context"]

_PARTS: Final = {"*": "[^/]*", "?": "[^/]"}


class Context:
    """A folder that an image is built of.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / ".dockerignore"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        self._rules = [
            (not line.startswith("!"), re.compile(_pattern(line.lstrip("!"))))
            for line in map(str.strip, lines)
            if line and not line.startswith("#")
        ]

    def has(self, path: Path) -> bool:
        """Return whether a path within the folder is there for the build."""
        return (self.folder / path).exists() and not self._is_ignored(path)

    def copy(self, path: Path, target: Path) -> None:
        """Copy a file, or what is in a folder, to where it shall be."""
        source = self.folder / path
        if not source.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
            return
        target.mkdir(parents=True, exist_ok=True)
        for inner in sorted(source.iterdir()):
            inside = path / inner.name
            if not self._is_ignored(inside):
                self.copy(inside, target / inner.name)

    def _is_ignored(self, path: Path) -> bool:
        ignored = False
        # What is in an ignored folder is ignored with it; the last rule that fits decides.
        above = [str(each) for each in (path, *path.parents) if each.parts]
        for ignores, rule in self._rules:
            if any(rule.fullmatch(each) for each in above):
                ignored = ignores
        return ignored


def _pattern(line: str) -> str:
    """Return the expression for a pattern, in which ``**`` stands for any number of folders."""
    parts = line.strip("/").split("/")
    found = "".join(
        "(?:[^/]+/)*" if part == "**" else f"{_part(part)}/" for part in parts
    ).removesuffix("/")
    return found if parts[-1] != "**" else f"{found}[^/]+"


def _part(text: str) -> str:
    return "".join(_PARTS.get(letter, re.escape(letter)) for letter in text)
