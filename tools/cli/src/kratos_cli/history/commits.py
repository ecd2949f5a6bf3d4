"""Commits of a repository, read by git."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kratos_cli.failure import CommandFailure

__all__ = ["Commit", "Repository", "Tag"]

_GIT: Final = "git"
_FIELDS: Final = ("%H", "%an", "%aI", "%s", "%b")
_END: Final = "\0"  # of a field: the only character that no commit has
_FORMAT: Final = "".join(f"{field}%x00" for field in _FIELDS)
# Signatures would be told between the fields where somebody's settings want them.
_LOG: Final = ("log", "--no-show-signature", f"--format={_FORMAT}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit.

    Attributes:
        id: Its hash.
        author: Name of who wrote it.
        date: When, in ISO 8601.
        subject: First line of its message.
        body: The rest.
    """

    id: str
    author: str
    date: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A release.

    Attributes:
        name: Of the tag.
        commit: What it stands for.
    """

    name: str
    commit: Commit


class Repository:
    """A repository of git.

    Args:
        folder: A folder in it.
        match: Pattern of the tags that are releases; empty for all.
        path: Only commits that touch this path count; empty for all.
    """

    def __init__(self, folder: str, *, match: str = "", path: str = "") -> None:
        self._folder = folder
        self._match = ["--match", match] if match else []
        self._path = ["--", path] if path else []

    def commits(self, since: str | None, until: str = "HEAD") -> Sequence[Commit]:
        """Return commits that are no merges, the newest first.

        Args:
            since: Leave out those of this revision; ``None`` for none.
            until: The newest.

        Raises:
            CommandFailure: There is no such revision.
        """
        span = f"{since}..{until}" if since else until
        arguments = [*_LOG, "--no-merges", "--end-of-options", span]
        said = self._git(*arguments, *(self._path or ["--"]))
        return _commits(said)

    def release(self, name: str) -> Tag:
        """Return a tag of that name, with or without a leading ``v``.

        Raises:
            CommandFailure: There is none.
        """
        tags = set(self._git("tag", "--list").split())
        found = next((tag for tag in (name, f"v{name}") if tag in tags), None)
        if found is None:
            raise CommandFailure(
                f"there is no tag {name!r}; write one of 'git tag', A..B, latest or dev", status=2
            )
        arguments = [*_LOG, "-1", "--end-of-options", found, "--"]
        return Tag(name=found, commit=_commits(self._git(*arguments))[0])

    def latest(self, before: str = "HEAD") -> str | None:
        """Return the newest tag that a revision follows; ``None`` if there is none."""
        arguments = ["describe", "--tags", "--abbrev=0", *self._match, before]
        done = self._run(*arguments)
        return done.stdout.strip() if done.returncode == 0 else None

    def _git(self, *arguments: str) -> str:
        done = self._run(*arguments)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise CommandFailure(f"git {arguments[0]} in {self._folder}: {(said or ['failed'])[0]}")
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [_GIT, "-C", self._folder, *arguments],
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise CommandFailure(f"git cannot be run: {error.strerror}; install it") from error


def _commits(said: str) -> Sequence[Commit]:
    """Return the commits that git has told by ``_FORMAT``."""
    fields = [field.strip("\n") for field in said.split(_END)[:-1]]
    return [
        Commit(id=id_, author=author, date=date, subject=subject, body=body.strip())
        for id_, author, date, subject, body in zip(*[iter(fields)] * len(_FIELDS), strict=True)
    ]
