"""Folders that are repositories of git, and what is in them."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["LIST", "Checkout", "tree"]

LIST = "".join(f"line {number}\n" for number in range(1, 10))


class Checkout:
    """A folder that is a repository of git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=n@example.com")
        done = subprocess.run(
            ["git", *who, *words], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout

    def commit(self, **texts: str | None) -> str:
        """Write and remove files, by their paths, and return the commit."""
        for name, text in texts.items():
            path = self.folder / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all", ".")
        self.git("commit", "--quiet", "--message", "more")
        return self.git("rev-parse", "HEAD").strip()

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return what is in a folder besides git, by path: content and mode."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }
