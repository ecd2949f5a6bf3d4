"""``kratos changelog``: what has changed, out of the messages of commits."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos_cli.parsing import Subparsers, seconds

if TYPE_CHECKING:
    from kratos_cli.history.commits import Commit, Repository, Tag

__all__ = ["register", "run"]

_RULE: Final = "-" * 44
_REPO: Final = "KRATOS_REPO"
_DESCRIPTION = """\
Tell what has changed, by the commits of a git repository, in groups by the word that their
messages begin with: break, deps, feat, fix, build, chore. One with '!' before the colon, or with
BREAKING CHANGE: in its text, is of the first group.

The repository is a folder, or elsewhere: then its history is fetched, without the files, by
what credentials git has for it. --repo takes all that 'git clone' takes.

WHICH is dev for what follows the last tag, latest for what that tag brought, a tag, or A..B."""


def register(subparsers: Subparsers) -> None:
    """Add ``changelog``."""
    parser = subparsers.add_parser(
        "changelog", help="tell what has changed, by commits", description=_DESCRIPTION
    )
    parser.add_argument(
        "which", metavar="WHICH", nargs="?", default="dev", help="dev, latest, a tag or A..B"
    )
    parser.add_argument(
        "-r",
        "--repo",
        "--repo-url",
        metavar="DIR_OR_URL",
        default=os.environ.get(_REPO) or ".",
        help=f"the repository (default: ${_REPO}, or the present folder)",
    )
    parser.add_argument(
        "-t",
        "--timeout",
        metavar="TIME",
        type=seconds,
        default=60.0,
        help="for fetching it (default: 60)",
    )
    parser.add_argument("--path", metavar="PATH", default="", help="only what touches this")
    parser.add_argument(
        "--match", metavar="PATTERN", default="", help="tags that are releases, such as 'core/v*'"
    )
    parser.add_argument("--json", action="store_true", help="print commits by group as JSON")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from kratos_cli.history.commits import Repository
    from kratos_cli.history.grouping import grouped

    with _local(args.repo, args.timeout) as folder:
        repository = Repository(folder, match=args.match, path=args.path)
        release, commits = _found(repository, args.which)
    groups = grouped(commits)
    if args.json:
        shown = {title: [asdict(commit) for commit in group] for title, group in groups.items()}
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return 0
    _show(release, groups)
    return 0


@contextmanager
def _local(repo: str, timeout: float) -> Generator[str]:
    """Yield a folder with the repository, fetched if it is elsewhere, while the block takes."""
    from kratos_cli.cloning import clone, local

    path = local(repo)
    if path.is_dir():
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="kratos-changelog-") as temporary:
        folder = Path(temporary, "repository")
        history = ["--bare", "--filter=blob:none"]
        clone(repo, folder, what="the history", timeout=timeout, options=history)
        yield str(folder)


def _found(repository: Repository, which: str) -> tuple[Tag | None, Sequence[Commit]]:
    since, dots, until = which.partition("..")
    if dots:
        return None, repository.commits(since or None, until or "HEAD")
    if which == "dev":
        return None, repository.commits(repository.latest())
    name = repository.latest() if which == "latest" else which
    if name is None:
        return None, repository.commits(None)
    release = repository.release(name)
    return release, repository.commits(repository.latest(f"{release.name}^"), release.name)


def _show(release: Tag | None, groups: Mapping[str, Sequence[Commit]]) -> None:
    if release is not None:
        print(f"Version: {release.name}")
        print(f"Author: {release.commit.author}")
        print(f"Date: {release.commit.date}")
        print(_RULE)
    if not groups:
        print("nothing has changed")
    for number, (title, commits) in enumerate(groups.items()):
        print(f"{'' if number == 0 else chr(10)}### {title}")
        for commit in commits:
            print(f"- {commit.subject} ({commit.id[:7]})")
