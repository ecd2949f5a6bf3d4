"""What the users of definitions lose by a change: over wires, in JSON, in paths and in code.

Names of rules that buf has too are buf's, and mean the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from protoc_gen_kratos.breaking.messages import compare_enums, compare_messages
from protoc_gen_kratos.breaking.services import compare_services
from protoc_gen_kratos.breaking.sides import Sides
from protoc_gen_kratos.findings import Finding, found_at
from protoc_gen_kratos.problems import Problems
from protoc_gen_kratos.schema import Schema

__all__ = ["BUF_RULES", "KRATOS_RULES", "RULES", "compare"]

BUF_RULES: Final = (
    "ENUM_NO_DELETE",
    "ENUM_VALUE_NO_DELETE",
    "ENUM_VALUE_SAME_NAME",
    "FIELD_NO_DELETE",
    "FIELD_SAME_CARDINALITY",
    "FIELD_SAME_JSON_NAME",
    "FIELD_SAME_NAME",
    "FIELD_SAME_ONEOF",
    "FIELD_SAME_TYPE",
    "FILE_NO_DELETE",
    "FILE_SAME_PACKAGE",
    "MESSAGE_NO_DELETE",
    "RPC_NO_DELETE",
    "RPC_SAME_CLIENT_STREAMING",
    "RPC_SAME_REQUEST_TYPE",
    "RPC_SAME_RESPONSE_TYPE",
    "RPC_SAME_SERVER_STREAMING",
    "SERVICE_NO_DELETE",
)
"""Rules that buf has too."""

KRATOS_RULES: Final = ("ERROR_SAME_CODE", "HTTP_RULE_NO_DELETE")
"""Rules of what Kratos makes of definitions."""

RULES: Final = tuple(sorted((*BUF_RULES, *KRATOS_RULES)))
"""All rules."""


def compare(
    old: bytes, new: bytes, sources: Collection[str], *, rules: Collection[str] = RULES
) -> list[Finding]:
    """Return what a new state of definitions takes from users of an old one.

    Findings lie where the new state has what they are about, or what that was in. Of a definition
    that is gone only the name is told.

    Args:
        old: A serialized ``FileDescriptorSet`` with imports.
        new: The same of the new state, with source information.
        sources: Names of the definitions to compare, of the old state.
        rules: Names of the rules to keep.

    Raises:
        DefinitionError: The definitions of one state do not link.
    """
    before, after = Schema(old, Problems()), Schema(new, Problems())
    found = [
        finding
        for name in sorted(sources)
        if name in before.files
        for finding in _compare_file(name, before, after)
        if finding.rule in rules
    ]
    return sorted(set(found))


def _compare_file(name: str, before: Schema, after: Schema) -> Iterator[Finding]:
    file = after.files.get(name)
    if file is None:
        yield Finding(
            file=name,
            line=0,
            column=0,
            end_line=0,
            end_column=0,
            rule="FILE_NO_DELETE",
            message="the definition is gone; keep it, or make a new version of the package",
        )
        return
    sides = Sides(old=before.files[name], new=file, before=before, after=after)
    if sides.old.raw.package != file.raw.package:
        message = f"the package was {sides.old.raw.package}, and is {file.raw.package}; keep it"
        yield found_at(file, (file.raw.PACKAGE_FIELD_NUMBER,), "FILE_SAME_PACKAGE", message)
        return
    yield from compare_messages(sides)
    yield from compare_enums(sides)
    yield from compare_services(sides)
