"""A file of Python: its text, its syntax tree, and places in it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from protoc_gen_kratos.findings import Finding

__all__ = ["Edit", "Found", "Source", "module_of", "unreadable"]

_TOO_DEEP: Final = "it is nested too deeply"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Edit:
    """A change of a text.

    Attributes:
        start: Index of the first character to replace.
        end: Index behind the last.
        text: What takes their place.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A finding, and the safe way to mend it, if there is one.

    Attributes:
        finding: What was found.
        edits: Changes of the file that mend it.
        text: What the file had in it, if there are such.
    """

    finding: Finding
    edits: tuple[Edit, ...] = ()
    text: str = field(default="", repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """A file of Python.

    Attributes:
        path: Where it lies.
        module: Dotted name of its module.
        text: What is in it, line ends as they are.
        tree: Its syntax.
        is_package: Whether it is the ``__init__.py`` of its package.
    """

    path: Path
    module: str
    text: str
    tree: ast.Module = field(repr=False)
    is_package: bool

    @classmethod
    def read(cls, path: Path) -> Source:
        """Read and parse a file; nothing of it is run.

        Raises:
            OSError: It cannot be read.
            SyntaxError: It is not Python.
            ValueError: It is not UTF-8, holds a zero, or is nested too deeply.
        """
        text = path.read_bytes().decode("utf-8-sig")
        try:
            tree = ast.parse(text)
        except (MemoryError, RecursionError) as error:  # which it is depends on the version
            raise ValueError(_TOO_DEEP) from error
        return cls(
            path=path,
            module=module_of(path)[1],
            text=text,
            tree=tree,
            is_package=path.name == "__init__.py",
        )

    @cached_property
    def lines(self) -> list[str]:
        """Its lines, with their ends."""
        return self.text.splitlines(keepends=True) if self._odd else self._split()

    @cached_property
    def _odd(self) -> bool:
        return "\r" in self.text.replace("\r\n", "\n") or "\f" in self.text

    def _split(self) -> list[str]:
        # Not splitlines(), which also splits where Python does not.
        return [f"{line}\n" for line in self.text.split("\n")]

    def column(self, line: int, offset: int) -> int:
        """Return the column from 1, in characters, of a place as ``ast`` tells it."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return len(text.encode()[:offset].decode(errors="replace")) + 1

    def index(self, line: int, offset: int) -> int:
        """Return the same place as an index in the text."""
        before = sum(len(text) for text in self.lines[: line - 1])
        return before + self.column(line, offset) - 1

    def found(
        self,
        node: ast.stmt | ast.expr | ast.keyword | ast.alias,
        rule: str,
        message: str,
        *edits: Edit,
    ) -> Found:
        """Return a finding about a node; edits are left out if the file is an odd one."""
        end = node.end_lineno or node.lineno
        return Found(
            finding=Finding(
                file=str(self.path),
                line=node.lineno,
                column=self.column(node.lineno, node.col_offset),
                end_line=end,
                end_column=self.column(end, node.end_col_offset or node.col_offset),
                rule=rule,
                message=message,
            ),
            edits=() if self._odd else edits,
            text=self.text if edits else "",
        )

    def before(self, node: ast.expr | ast.keyword, text: str) -> Edit:
        """Return an edit that puts a text before a node."""
        start = self.index(node.lineno, node.col_offset)
        return Edit(start=start, end=start, text=text)

    def instead(self, node: ast.expr, text: str) -> Edit:
        """Return an edit that puts a text in place of a node."""
        end_line, end = node.end_lineno or node.lineno, node.end_col_offset or 0
        return Edit(
            start=self.index(node.lineno, node.col_offset),
            end=self.index(end_line, end),
            text=text,
        )


def unreadable(path: Path, error: Exception) -> Found:
    """Return the finding about a file that cannot be read."""
    line, column, why = 0, 0, str(error)
    if isinstance(error, SyntaxError):
        line, column, why = error.lineno or 0, max(error.offset or 1, 1), error.msg
    elif isinstance(error, UnicodeDecodeError):
        why = "it is not UTF-8; save it as that"
    elif isinstance(error, RecursionError):
        why = _TOO_DEEP
    elif isinstance(error, OSError):
        why = error.strerror or why
    finding = Finding(
        file=str(path),
        line=line,
        column=column,
        end_line=line,
        end_column=column,
        rule="KR001",
        message=f"this cannot be read: {why}",
    )
    return Found(finding=finding)


def module_of(path: Path) -> tuple[Path, str]:
    """Return the folder that imports start from, and the dotted name of a file's module."""
    absolute = path.absolute()
    parts = [] if absolute.name == "__init__.py" else [absolute.stem]
    folder = absolute.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)
