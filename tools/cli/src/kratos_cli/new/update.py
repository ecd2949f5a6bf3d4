"""Brings a project to a newer template, and what was changed in it along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.version import InvalidVersion, Version

from kratos_cli.failure import CommandFailure
from kratos_cli.new.merging import Change, Made, Verb, changed
from kratos_cli.new.plan import Plan, installed
from kratos_cli.new.record import ARCHIVE, FILE, Record
from kratos_cli.new.snapshot import opened_snapshot, same, snapshot
from kratos_cli.new.source import BUILT_IN, Source
from kratos_cli.new.template import Template
from kratos_cli.new.writing import write

__all__ = ["Update"]

_GONE: Final = 0.5  # share of the template's files that are missing, from which on a hint is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What a newer template makes of a project.

    Attributes:
        folder: Of the project.
        before: What it was made of.
        after: What it will have been made of.
        changes: Of its files, by path.
        was_renamed: Whether so much is missing that it may have been renamed by hand.
        archive: The newer template.
    """

    folder: Path
    before: Record
    after: Record
    changes: Sequence[Change]
    was_renamed: bool
    archive: bytes

    @classmethod
    def find(cls, folder: Path, before: Record, source: Source) -> Update:
        """Compare what the old template made, what the new one makes, and what is there.

        Args:
            folder: Of the project.
            before: What it was made of.
            source: The newer template.

        Raises:
            CommandFailure: The record or the template is wrong, or there is no git to merge with.
        """
        _refuse_older(before, source)
        template = Template(source.folder)
        plan = before.plan(folder, installed())
        new = _made(template, plan)
        try:
            kept = (folder / ARCHIVE).read_bytes()
        except FileNotFoundError:
            raise CommandFailure(
                f"{folder / ARCHIVE} is missing, the template as it was; "
                "take it back from the repository"
            ) from None
        with opened_snapshot(kept, where=folder / ARCHIVE) as former:
            old = _made(former, before.plan(folder))
        archive = snapshot(template)
        return cls(
            folder=folder,
            before=before,
            after=Record.of(source, plan),
            changes=[*_changes(folder, old, new, label=_label(source))],
            was_renamed=_share_missing(folder, old) >= _GONE,
            archive=kept if same(kept, archive) else archive,
        )

    @property
    def conflicts(self) -> list[str]:
        """The paths of files that have to be looked at."""
        return [str(item.path) for item in self.changes if item.verb is Verb.CONFLICT]

    def apply(self) -> None:
        """Change the project; if that fails, it is as it was.

        Raises:
            CommandFailure: A file cannot be written.
        """
        write(self.folder, self._written())

    def _written(self) -> list[Change]:
        """Return all that is written, what the project remembers at the end."""
        memory = {ARCHIVE: self.archive, FILE: self.after.text().encode()}
        remembered = [
            Change(path=PurePosixPath(path), verb=Verb.UPDATED, made=Made(content=content))
            for path, content in memory.items()
            if (self.folder / path).read_bytes() != content
        ]
        touched = [item for item in self.changes if item.made or item.verb is Verb.REMOVED]
        return [*touched, *remembered]


def _made(template: Template, plan: Plan) -> dict[PurePosixPath, Made]:
    return {
        path: Made(content=content, is_program=is_program)
        for path, content, is_program in template.files(plan.values(), plan.flags)
    }


def _changes(
    folder: Path,
    old: Mapping[PurePosixPath, Made],
    new: Mapping[PurePosixPath, Made],
    *,
    label: str,
) -> list[Change]:
    found: list[Change] = []
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        obstacle = _obstacle(folder, path)
        if obstacle:
            found.append(Change(path=path, verb=Verb.KEPT, note=obstacle))
            continue
        file = folder / path
        mine = file.read_bytes() if file.is_file() else None
        change = changed(path, before, after, mine, label=label)
        if change is not None:
            found.append(change)
    return found


def _obstacle(folder: Path, path: PurePosixPath) -> str:
    """Return why a file of this path is not touched; empty for no reason."""
    for inner in (*reversed(path.parents), path):
        there = folder / inner
        if inner.parts and there.is_symlink():
            return f"not touched: {inner} is a link"
        if inner != path and there.exists() and not there.is_dir():
            return f"not touched: {inner} is no folder"
    return f"not touched: {path} is no file" if (folder / path).is_dir() else ""


def _share_missing(folder: Path, old: Mapping[PurePosixPath, Made]) -> float:
    missing = sum(not (folder / path).exists() for path in old)
    return missing / max(1, len(old))


def _label(source: Source) -> str:
    name = source.place.rstrip("/").rpartition("/")[2]
    return f"{name} {source.version[:12]}".rstrip()


def _refuse_older(before: Record, source: Source) -> None:
    if before.place != BUILT_IN or source.place != BUILT_IN:
        return
    try:
        is_older = Version(source.version) < Version(before.version)
    except InvalidVersion as error:
        raise CommandFailure(
            f"{FILE} cannot be understood: {error}; take it back from the repository"
        ) from error
    if is_older:
        raise CommandFailure(
            f"this is {BUILT_IN} {source.version}, and the project is of {before.version}: "
            f"bring {BUILT_IN} up to date first, by pip install --upgrade {BUILT_IN}"
        )
