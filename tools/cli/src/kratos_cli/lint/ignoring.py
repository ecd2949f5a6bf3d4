"""Comments ``# kratos: ignore[RULE]``, which let a line do what a rule forbids."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kratos_cli.lint.rules import ALL
from kratos_cli.lint.source import Edit, Found, Source
from protoc_gen_kratos.findings import Finding

__all__ = ["without_ignored", "without_ignored_lines"]

_COMMENT: Final = re.compile(r"#\s*kratos:\s*ignore(?:\[([^\]]*)\])?(?=\s|#|$)")


@dataclass(frozen=True, slots=True)
class _Comment:
    line: int
    column: int
    text: str
    rules: frozenset[str]


def without_ignored(
    source: Source, findings: Iterable[Found], rules: Collection[str]
) -> Iterator[Found]:
    """Yield the findings that no comment allows, and comments that allow nothing.

    A comment stands on the first or the last line of what it is about.

    Args:
        source: The file.
        findings: What was found in it, by the rules that are kept.
        rules: Those.
    """
    comments = list(_comments(source))
    used: set[tuple[int, str]] = set()
    for found in findings:
        lines = (found.finding.line, found.finding.end_line)
        allowed = {
            (each.line, found.finding.rule)
            for each in comments
            if each.line in lines and found.finding.rule in each.rules
        }
        used |= allowed
        if not allowed:
            yield found
    for each in comments:
        idle = sorted(
            rule
            for rule in each.rules
            if rule not in ALL or (rule in rules and (each.line, rule) not in used)
        )
        if (idle or not each.rules) and "KR002" in rules:
            yield _idle(source, each, idle)


def without_ignored_lines(text: str, findings: Iterable[Found]) -> Iterator[Found]:
    """Yield the findings that no comment on their line allows, in a file that is not Python."""
    lines = text.splitlines()
    for found in findings:
        line = found.finding.line
        comment = _COMMENT.search(lines[line - 1]) if 0 < line <= len(lines) else None
        if comment is None or found.finding.rule not in _rules(comment):
            yield found


def _comments(source: Source) -> Iterator[_Comment]:
    if "kratos:" not in source.text:
        return  # most files have none, and taking them apart takes time
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        found = _COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        if found is not None:
            line, column = token.start
            yield _Comment(line, column + found.start(), found[0], _rules(found))


def _rules(comment: re.Match[str]) -> frozenset[str]:
    return frozenset(filter(None, (each.strip() for each in (comment[1] or "").split(","))))


def _idle(source: Source, comment: _Comment, idle: list[str]) -> Found:
    what = f"ignores {', '.join(idle)}, which is not found here" if idle else "names no rule"
    cure = "remove it" if idle else "write kratos: ignore[KR201], for instance"
    finding = Finding(
        file=str(source.path),
        line=comment.line,
        column=comment.column + 1,
        end_line=comment.line,
        end_column=comment.column + 1 + len(comment.text),
        rule="KR002",
        message=f"this comment {what}; {cure}",
    )
    edits = (_removal(source, comment, idle),) if idle else ()
    return Found(finding=finding, edits=edits, text=source.text if idle else "")


def _removal(source: Source, comment: _Comment, idle: list[str]) -> Edit:
    before = sum(len(line) for line in source.lines[: comment.line - 1])
    start = before + comment.column
    end = start + len(comment.text)
    left = sorted(comment.rules - set(idle))
    if left:
        return Edit(start=start, end=end, text=f"# kratos: ignore[{', '.join(left)}]")
    while start > before and source.text[start - 1] in " \t":
        start -= 1
    return Edit(start=start, end=end, text="")
