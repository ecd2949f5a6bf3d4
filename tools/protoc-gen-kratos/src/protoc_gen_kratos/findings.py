"""What lint and the comparison with an older state find, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from protoc_gen_kratos.elements import Path, SourceFile, Span

__all__ = ["Finding", "found_at", "spanned"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One finding in one definition.

    Attributes:
        file: Name of the definition as imports spell it, for example ``shop/v1/order.proto``.
        line: Line from 1; 0 for the file as a whole.
        column: Column from 1; 0 for the file as a whole.
        end_line: Line where what it is about ends.
        end_column: Column behind its last character.
        rule: Name of the rule, for example ``FIELD_LOWER_SNAKE_CASE``.
        message: What is wrong, and what to do.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    rule: str
    message: str

    def text(self, paths: Mapping[str, str] | None = None) -> str:
        """Return ``file:line:column: message (RULE)``.

        Args:
            paths: Where definitions lie on disk, by name; what it lacks keeps its name.
        """
        file = (paths or {}).get(self.file, self.file)
        where = f"{file}:{self.line}:{self.column}" if self.line else file
        return f"{where}: {self.message} ({self.rule})"

    def as_json(self, paths: Mapping[str, str] | None = None) -> dict[str, str | int]:
        """Return the same as an object of JSON."""
        return {
            "file": (paths or {}).get(self.file, self.file),
            "line": self.line,
            "column": self.column,
            "end_line": self.end_line,
            "end_column": self.end_column,
            "rule": self.rule,
            "message": self.message,
        }


def found_at(file: SourceFile, path: Path, rule: str, message: str) -> Finding:
    """Return a finding about what lies at a path in a definition."""
    return spanned(file, file.span(path), rule, message)


def spanned(file: SourceFile, span: Span, rule: str, message: str) -> Finding:
    """Return a finding about what a span of a definition holds."""
    line, column, end_line, end_column = span
    return Finding(
        file=file.name,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        rule=rule,
        message=message,
    )
