"""Commits by what they change, in the groups of Go Kratos."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from kratos_cli.history.commits import Commit

__all__ = ["GROUPS", "grouped"]

GROUPS: Final[Mapping[str, str]] = {
    "break": "Breaking Changes",
    "deps": "Dependencies",
    "feat": "New Features",
    "fix": "Bug Fixes",
    "build": "Builds",
    "chore": "Chores",
    "other": "Others",
}
"""Titles by the word that messages begin with, in the order of a changelog."""

# feat(http)!: ...
_PREFIX: Final = re.compile(r"(?P<kind>[A-Za-z]+)(\([^)]*\))?(?P<broken>!)?:")
_BROKEN: Final = re.compile(r"^BREAKING[ -]CHANGE:", re.MULTILINE)


def grouped(commits: Iterable[Commit]) -> dict[str, list[Commit]]:
    """Return commits by title; titles without commits are left out."""
    found: dict[str, list[Commit]] = {title: [] for title in GROUPS.values()}
    for commit in commits:
        found[GROUPS[_kind(commit)]].append(commit)
    return {title: members for title, members in found.items() if members}


def _kind(commit: Commit) -> str:
    prefix = _PREFIX.match(commit.subject)
    if _BROKEN.search(commit.body) or (prefix is not None and prefix["broken"]):
        return "break"
    kind = "" if prefix is None else prefix["kind"].lower()
    return kind if kind in GROUPS else "other"
