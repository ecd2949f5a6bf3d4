"""Mends what can be mended safely."""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from kratos_cli.lint.source import Edit, Found

__all__ = ["fix"]

_BOM = b"\xef\xbb\xbf"


def fix(found: Iterable[Found]) -> int:
    """Change files as findings in them suggest, and return how many findings are mended.

    Of edits that overlap the first is made; a file whose syntax would suffer stays as it is.

    Raises:
        OSError: A file cannot be written.
    """
    by_file: dict[str, list[Found]] = {}
    for each in found:
        if each.edits:
            by_file.setdefault(each.finding.file, []).append(each)
    return sum(_mend(Path(file), each) for file, each in by_file.items())


def _mend(path: Path, found: Sequence[Found]) -> int:
    content = path.read_bytes()
    text = content.decode("utf-8-sig")
    chosen: set[Edit] = set()
    mended = 0
    for each in found:
        if not any(_overlap(new, old) for new in each.edits for old in chosen - {*each.edits}):
            chosen |= {*each.edits}
            mended += 1
    newline = "\r\n" if "\r\n" in text else "\n"
    for edit in sorted(chosen, reverse=True):
        new = edit.text.replace("\n", newline)
        text = f"{text[: edit.start]}{new}{text[edit.end :]}"
    try:
        ast.parse(text)
    except SyntaxError:
        return 0
    _replace(path, (_BOM if content.startswith(_BOM) else b"") + text.encode())
    return mended


def _overlap(one: Edit, other: Edit) -> bool:
    return one.start < other.end and other.start < one.end


def _replace(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    target = path.resolve()  # a link stays one
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(target.stat().st_mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
