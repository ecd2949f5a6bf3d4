"""``kratos new --update``: what it asks for, and what it tells."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from kratos_cli.failure import CommandFailure
from kratos_cli.new.merging import Change
from kratos_cli.new.record import FILE, Record
from kratos_cli.new.source import opened
from kratos_cli.new.update import Update

__all__ = ["run_update"]

_SHOWN: Final = 5  # paths of what is not committed


def run_update(args: argparse.Namespace) -> int:
    """Bring a project to its template as it is now, and tell what that changed.

    Raises:
        CommandFailure: It cannot be done, or conflicts are left.
    """
    folder = Path(args.name or ".").expanduser().absolute()
    before = Record.read(folder)
    if not args.dry_run and not args.allow_dirty:
        _refuse_dirty(folder)
    update = _found(args, folder, before)
    if not args.dry_run:
        update.apply()
    if not args.quiet:
        _tell(update, dry_run=args.dry_run, as_json=args.json)
    if update.conflicts:
        raise CommandFailure(_about_conflicts(update, dry_run=args.dry_run))
    return 0


def _found(args: argparse.Namespace, folder: Path, before: Record) -> Update:
    moved = args.repo is not None
    repo = args.repo or before.repo(folder)
    branch = args.branch or (None if moved else before.branch or None)
    try:
        quiet = args.quiet or args.json
        with opened(repo, branch=branch, timeout=args.timeout, quiet=quiet) as source:
            return Update.find(folder, before, source)
    except CommandFailure as failure:
        if "cannot be had" not in str(failure) or moved:
            raise
        raise CommandFailure(f"{failure}; if it is elsewhere now, name it with --repo") from failure
    except OSError as error:
        raise CommandFailure(f"{error.filename or folder}: {error.strerror}") from error


def _refuse_dirty(folder: Path) -> None:
    # A folder that a repository around it ignores is clean as well, and is not in it.
    tracked, _ = _git(folder, "ls-files", "--error-unmatch", "--", str(FILE))
    if tracked != 0:
        raise CommandFailure(
            f"{folder} is in no repository of git that could take the update back: commit it to "
            "one, or give --allow-dirty"
        )
    status, said = _git(folder, "status", "--porcelain", "--untracked-files=all", "--", ".")
    lines = said.splitlines()
    if status != 0 or lines:
        more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        shown = "".join(f"\n  {line[3:]}" for line in lines[:_SHOWN])
        raise CommandFailure(
            f"not all of {folder} is committed: commit it, so that git can take the update back, "
            f"or give --allow-dirty{shown}{more}"
        )


def _git(folder: Path, *words: str) -> tuple[int, str]:
    """Return how git ended in a folder, and what it said."""
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CommandFailure("there is no git, which an update needs to merge") from None
    return done.returncode, done.stdout


def _tell(update: Update, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_as_json(update, dry_run=dry_run), indent=2, ensure_ascii=False))
        return
    for change in update.changes:
        print(_line(change))
    print(_summary(update, dry_run=dry_run))
    if update.was_renamed:
        sys.stderr.write(
            f"kratos new: most files of the template are gone from {update.folder}. If the project "
            f"was renamed, take this back, write its new name into {FILE} and update again.\n"
        )


def _line(change: Change) -> str:
    note = f" ({change.note})" if change.note else ""
    return f"{change.verb.upper()} {change.path}{note}"


def _summary(update: Update, *, dry_run: bool) -> str:
    name = f"{update.after.place} {update.after.version}".rstrip()
    if not update.changes:
        return f"The project is as {name} makes it."
    steps = [] if update.folder == Path.cwd() else [f"cd {update.folder}"]
    steps.append("git diff")
    if (update.folder / "hatchw").is_file():
        if any(item.path.suffix == ".proto" for item in update.changes):
            steps.append("./hatchw run generate")
        steps.append("./hatchw run check")
    if dry_run:
        return f"\nNothing was changed; this is what {name} would."
    return "\n".join(["", f"This is what {name} has changed. Next:", *(f"    {s}" for s in steps)])


def _as_json(update: Update, *, dry_run: bool) -> dict[str, object]:
    return {
        "folder": str(update.folder),
        "template": update.after.place,
        "from": update.before.version,
        "to": update.after.version,
        "dry_run": dry_run,
        "files": [
            {"path": str(item.path), "change": str(item.verb), "note": item.note}
            for item in update.changes
        ],
        "conflicts": update.conflicts,
    }


def _about_conflicts(update: Update, *, dry_run: bool) -> str:
    count = len(update.conflicts)
    files = f"{count} file{'' if count == 1 else 's'}: {', '.join(update.conflicts)}"
    if dry_run:
        return f"there would be conflicts in {files}"
    return f"there are conflicts in {files}; settle what is between <<<<<<< and >>>>>>>"
