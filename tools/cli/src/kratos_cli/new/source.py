"""Where a template is: in this distribution, in a folder, or in a repository of git."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from kratos_cli.failure import CommandFailure

__all__ = ["opened"]


@contextmanager
def opened(repo: str | None, *, branch: str | None = None, timeout: float = 60) -> Generator[Path]:
    """Yield a folder that holds a template, for as long as the block takes.

    Args:
        repo: A folder, or what ``git clone`` takes; ``None`` for the template that comes along.
        branch: A branch or tag of a repository; ``None`` for its default.
        timeout: Seconds for the clone.

    Raises:
        CommandFailure: There is no such folder or repository, or git cannot get it.
    """
    if repo is None:
        if branch is not None:
            raise CommandFailure("--branch is of a repository: name it with --repo", status=2)
        with as_file(files("kratos_cli") / "templates" / "service") as folder:
            yield folder
        return
    path = Path(repo).expanduser()
    if path.is_dir() and branch is None and not _is_bare(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kratos-new-") as temporary:
        folder = Path(temporary, "template")
        _clone(str(path) if path.is_dir() else repo, branch, folder, timeout)
        yield folder


def _clone(repo: str, branch: str | None, folder: Path, timeout: float) -> None:
    command = ["git", "clone", "--quiet", "--depth", "1"]
    if branch is not None:
        command += ["--branch", branch]
    try:
        done = subprocess.run(
            [*command, "--", repo, str(folder)],
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise CommandFailure(f"there is no folder {repo}, and no git to clone it with") from None
    except subprocess.TimeoutExpired:
        raise CommandFailure(
            f"{repo} was not cloned within {timeout:g} s; --timeout gives it longer"
        ) from None
    if done.returncode != 0:
        said = done.stderr.strip() or f"git ended with {done.returncode}"
        raise CommandFailure(f"the template cannot be had from {repo}: {said}")


def _is_bare(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir()
