"""Gets repositories of git from elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from kratos_cli.failure import CommandFailure

__all__ = ["clone", "local"]


def clone(
    repo: str, folder: Path, *, what: str, timeout: float, options: Sequence[str] = ()
) -> None:
    """Clone a repository into a folder that is not there yet.

    Args:
        repo: Whatever ``git clone`` takes; given to it as it is.
        folder: Where it goes.
        what: What is wanted of it, for messages: ``the template``.
        timeout: Seconds for all of it.
        options: Further options of ``git clone``.

    Raises:
        CommandFailure: There is no git, it cannot get the repository, or not in time.
    """
    command = ["git", "clone", "--quiet", *options, "--", repo, str(folder)]
    try:
        done = subprocess.run(
            command, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise CommandFailure(f"there is no folder {repo}, and no git to clone it with") from None
    except subprocess.TimeoutExpired:
        raise CommandFailure(
            f"{repo} was not cloned within {timeout:g} s; --timeout gives it longer"
        ) from None
    if done.returncode != 0:
        said = done.stderr.strip() or f"git ended with {done.returncode}"
        raise CommandFailure(f"{what} cannot be had from {repo}: {said}")


def local(text: str) -> Path:
    """Return a path as it was typed, ``~`` and ``~name`` being homes.

    Raises:
        CommandFailure: There is no such home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise CommandFailure(f"{text}: there is no such home", status=2) from error
