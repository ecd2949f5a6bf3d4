"""Rules that definitions should keep, of style and of what Kratos makes of them.

Names of rules that buf has too are buf's, and mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from protoc_gen_kratos.elements import SourceFile
from protoc_gen_kratos.findings import Finding
from protoc_gen_kratos.lint.error_rules import check_errors
from protoc_gen_kratos.lint.http import check_http
from protoc_gen_kratos.lint.style import check_style
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema

__all__ = ["KRATOS_RULES", "RULES", "STYLE_RULES", "check", "without_ignored"]

STYLE_RULES: Final = (
    "ENUM_FIRST_VALUE_ZERO",
    "ENUM_NO_ALLOW_ALIAS",
    "ENUM_PASCAL_CASE",
    "ENUM_VALUE_PREFIX",
    "ENUM_VALUE_UPPER_SNAKE_CASE",
    "ENUM_ZERO_VALUE_SUFFIX",
    "FIELD_LOWER_SNAKE_CASE",
    "FILE_LOWER_SNAKE_CASE",
    "MESSAGE_PASCAL_CASE",
    "ONEOF_LOWER_SNAKE_CASE",
    "PACKAGE_DEFINED",
    "PACKAGE_DIRECTORY_MATCH",
    "PACKAGE_LOWER_SNAKE_CASE",
    "PACKAGE_VERSION_SUFFIX",
    "RPC_PASCAL_CASE",
    "SERVICE_PASCAL_CASE",
)
"""Rules of style: buf's."""

KRATOS_RULES: Final = (
    "ERROR_CODE_IS_FAILURE",
    "ERROR_CODE_RANGE",
    "ERROR_ENUM_TOP_LEVEL",
    "ERROR_REASON_CLASH",
    "HTTP_ROUTE_CLASH",
    "HTTP_RULE",
    "HTTP_STYLE",
)
"""Rules of what Kratos makes of definitions."""

RULES: Final = tuple(sorted((*STYLE_RULES, *KRATOS_RULES)))
"""All rules."""

_IGNORED: Final = re.compile(r"(?:buf|kratos):lint:ignore\s+(\w+)")


def check(
    descriptor_set: bytes, sources: Collection[str], *, rules: Collection[str] = RULES
) -> list[Finding]:
    """Return what definitions do against rules, by file and line.

    What stands behind a comment ``buf:lint:ignore RULE`` or ``kratos:lint:ignore RULE`` may do
    so.

    Args:
        descriptor_set: A serialized ``FileDescriptorSet`` with imports and source information.
        sources: Names of the definitions to look at; the others are imports.
        rules: Names of the rules to keep.

    Raises:
        DefinitionError: The definitions do not link.
    """
    schema = Schema(descriptor_set, Problems())
    files = [schema.files[name] for name in sorted(sources)]
    found = [finding for finding in _all(files, schema) if finding.rule in rules]
    return sorted(set(without_ignored(found, files)))


def without_ignored(findings: Iterable[Finding], files: Iterable[SourceFile]) -> Iterator[Finding]:
    """Yield the findings that no comment in front of an element around them allows."""
    allowed = {
        (file.name, rule, span)
        for file in files
        for span, comment in file.comments()
        for rule in _IGNORED.findall(comment)
    }
    for finding in findings:
        place = (finding.line, finding.column)
        if not any(
            file == finding.file and rule == finding.rule and span[:2] <= place <= span[2:]
            for file, rule, span in allowed
        ):
            yield finding


def _all(files: Collection[SourceFile], schema: Schema) -> Iterator[Finding]:
    for file in files:
        yield from check_style(file, schema)
    yield from check_http(files, schema)
    yield from check_errors(files, schema)
