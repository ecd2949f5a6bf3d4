"""Mends what can be mended safely."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

from kratos_cli.lint.source import Edit, Found
from kratos_cli.writing import write_whole

__all__ = ["fix"]

_BOM = b"\xef\xbb\xbf"


def fix(found: Iterable[Found]) -> int:
    """Change files as findings in them suggest, and return how many findings are mended.

    Of edits that overlap the first is made; a file whose syntax would suffer stays as it is, and
    so does one that has changed since.

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
    text = content.decode("utf-8-sig", "replace")
    if any(each.text != text for each in found):  # the edits are of another text
        return 0
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
    write_whole(path, (_BOM if content.startswith(_BOM) else b"") + text.encode())
    return mended


def _overlap(one: Edit, other: Edit) -> bool:
    return one.start < other.end and other.start < one.end
