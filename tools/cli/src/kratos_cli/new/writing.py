"""Writes changes of files, all of them or none."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kratos_cli.failure import CommandFailure
from kratos_cli.new.merging import Change

__all__ = ["write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Former:
    file: Path
    content: bytes | None
    mode: int


def write(folder: Path, changes: Sequence[Change]) -> None:
    """Write changed files, and remove those that go with the folders that they leave empty.

    Args:
        folder: Of the project.
        changes: Of its files; without ``made`` one goes.

    Raises:
        CommandFailure: One cannot be written; all are as they were.
    """
    former: list[_Former] = []
    try:
        for change in changes:
            file = folder / change.path
            there = file.is_file()
            former.append(
                _Former(
                    file=file,
                    content=file.read_bytes() if there else None,
                    mode=file.stat().st_mode if there else 0o644,
                )
            )
            if change.made is None:
                _remove(file, folder)
            else:
                bits = 0o111 if change.made.is_program else 0
                _put(file, change.made.content, former[-1].mode | bits)
    except BaseException as error:
        for each in reversed(former):
            _restore(each, folder)
        if isinstance(error, OSError):
            raise CommandFailure(
                f"{error.filename or folder}: {error.strerror}; nothing was changed"
            ) from error
        raise


def _put(file: Path, content: bytes, mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Beside it first: whoever reads meanwhile gets the one or the other.
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".kratos-new-", delete=False) as new:
        try:
            new.write(content)
            new.flush()
            Path(new.name).chmod(mode & 0o777)
            Path(new.name).replace(file)
        except BaseException:
            Path(new.name).unlink()
            raise


def _remove(file: Path, folder: Path) -> None:
    file.unlink(missing_ok=True)
    for parent in file.relative_to(folder).parents[:-1]:
        with contextlib.suppress(OSError):  # it holds something else, or is gone
            (folder / parent).rmdir()


def _restore(former: _Former, folder: Path) -> None:
    if former.content is None:
        _remove(former.file, folder)
    else:
        _put(former.file, former.content, former.mode)
