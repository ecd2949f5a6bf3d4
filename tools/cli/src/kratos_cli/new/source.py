"""Where a template is: in this distribution, in a folder, or in a repository of git."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kratos_cli.cloning import clone, local
from kratos_cli.failure import CommandFailure

__all__ = ["BUILT_IN", "Source", "opened"]

BUILT_IN: Final = "kratos-cli"  # the distribution that the template comes along with


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A template that was got.

    Attributes:
        folder: Where it is now.
        place: Where it was got from: ``kratos-cli``, a URL without its password, or a folder.
        branch: A branch or tag; empty for the default, and for what is in no repository.
        version: Of the distribution, or the commit; empty for a folder as it stands.
    """

    folder: Path
    place: str
    branch: str = ""
    version: str = ""


@contextmanager
def opened(
    repo: str | None, *, branch: str | None = None, timeout: float = 60, quiet: bool = False
) -> Generator[Source]:
    """Yield a template, which is there for as long as the block takes.

    Args:
        repo: A folder, or what ``git clone`` takes; ``None`` for the template that comes along.
        branch: A branch or tag of a repository; ``None`` for its default.
        timeout: Seconds for the clone.
        quiet: Show no progress of it.

    Raises:
        CommandFailure: There is no such folder or repository, or git cannot get it.
    """
    if repo is None:
        if branch is not None:
            raise CommandFailure("--branch is of a repository: name it with --repo", status=2)
        with as_file(files("kratos_cli") / "templates" / "service") as folder:
            yield Source(folder=folder, place=BUILT_IN, version=version(BUILT_IN))
        return
    path = local(repo)
    here = path.is_dir()
    if here and branch is None and not _is_bare(path):
        yield Source(folder=path, place=str(path.absolute()))
        return
    with tempfile.TemporaryDirectory(prefix="kratos-new-") as temporary:
        folder = Path(temporary, "template")
        clone(
            str(path) if here else repo,
            folder,
            what="the template",
            timeout=timeout,
            quiet=quiet,
            options=["--depth", "1", *(["--branch", branch] if branch is not None else [])],
        )
        yield Source(
            folder=folder,
            place=str(path.absolute()) if here else _without_password(repo),
            branch=branch or "",
            version=_commit(folder),
        )


def _commit(folder: Path) -> str:
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _without_password(url: str) -> str:
    """Return a URL as it may be told: who got it needs no name for that, and no password."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _is_bare(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()
