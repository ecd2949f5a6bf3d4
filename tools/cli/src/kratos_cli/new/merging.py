"""What a newer template makes of a file: nothing, a new file, a merge, a conflict."""

from __future__ import annotations

import enum
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from kratos_cli.failure import CommandFailure

__all__ = ["Change", "Made", "Verb", "changed"]

_MOST: Final = 127  # conflicts that git counts; what is above is a failure


class Verb(enum.StrEnum):
    """What happens to a file."""

    ADDED = enum.auto()
    UPDATED = enum.auto()
    MERGED = enum.auto()
    CONFLICT = enum.auto()
    REMOVED = enum.auto()
    KEPT = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file as a template makes it.

    Attributes:
        content: What is in it.
        is_program: Whether it can be run.
    """

    content: bytes
    is_program: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to a file.

    Attributes:
        path: Of the file, in the project.
        verb: What happens.
        note: What is to be known of it; empty for nothing.
        made: The file as it will be; ``None`` for one that goes, or that stays as it is.
    """

    path: PurePosixPath
    verb: Verb
    note: str = ""
    made: Made | None = None


def changed(
    path: PurePosixPath, old: Made | None, new: Made | None, mine: bytes | None, *, label: str
) -> Change | None:
    """Return what happens to a file; ``None`` for nothing.

    Args:
        path: Of the file, in the project.
        old: As the template made it.
        new: As it makes it now; ``None`` if it does so no more.
        mine: As it is in the project; ``None`` if it is there no more.
        label: What marks of conflicts call the template.

    Raises:
        CommandFailure: There is no git that could merge, or it fails.
    """
    if old == new or mine == (new.content if new else None):
        return None  # nothing new, or the project has it already
    if new is None:
        if old is not None and mine == old.content:
            return Change(path=path, verb=Verb.REMOVED)
        note = "the template has it no more; you have changed it"
        return Change(path=path, verb=Verb.KEPT, note=note)
    if mine is None:
        if old is None:
            return Change(path=path, verb=Verb.ADDED, made=new)
        note = "not brought back: you have removed it, and the template has changed it"
        return Change(path=path, verb=Verb.KEPT, note=note)
    if old is not None and mine == old.content:
        return Change(path=path, verb=Verb.UPDATED, made=new)
    return _merged(path, old.content if old else b"", new, mine, label)


def _merged(path: PurePosixPath, old: bytes, new: Made, mine: bytes, label: str) -> Change:
    if any(b"\0" in content for content in (old, new.content, mine)):
        note = "no text: it stays as you have it"
        return Change(path=path, verb=Verb.CONFLICT, note=note)
    content, conflicts = _merge(old, new.content, mine, label)
    verb = Verb.CONFLICT if conflicts else Verb.MERGED
    return Change(path=path, verb=verb, made=Made(content=content, is_program=new.is_program))


def _merge(old: bytes, new: bytes, mine: bytes, label: str) -> tuple[bytes, int]:
    """Return what git makes of two changes of a text, and how many conflicts are in it."""
    with tempfile.TemporaryDirectory(prefix="kratos-new-") as temporary:
        names = ("mine", "old", "new")
        for name, content in zip(names, (mine, old, new), strict=True):
            Path(temporary, name).write_bytes(content)
        labels = [word for text in ("yours", "before", label) for word in ("-L", text)]
        command = ["git", "merge-file", "-p", "-q", *labels, *names]
        try:
            done = subprocess.run(
                command,
                cwd=temporary,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise CommandFailure("there is no git, which merges what both have changed") from None
    if not 0 <= done.returncode <= _MOST:
        said = done.stderr.decode(errors="replace").strip()
        raise CommandFailure(f"git merge-file failed: {said or done.returncode}")
    return done.stdout, done.returncode
