"""Writes the options of kratos/http.proto into a method's record."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from kratos.transport import HttpOptions
from protoc_gen_kratos.source import Source, literal
from protoc_gen_kratos.typed_names import TypedNames

__all__ = ["write_options"]


def write_options(source: Source, options: HttpOptions, names: TypedNames) -> None:
    """Add the keyword ``http_options``, with what differs from the defaults."""
    head = f"http_options={names.known('HttpOptions')}("
    source.wrapped(head, _keywords(options, names), "),")


def _keywords(record: Any, names: TypedNames) -> list[str]:
    found: list[str] = []
    for field in fields(record):
        value: Any = getattr(record, field.name)
        if value == field.default:
            continue
        if isinstance(value, str):
            shown = literal(value)
        elif isinstance(value, (bool, int, float)):
            shown = repr(value)
        else:
            kind = names.known(type(value).__name__)
            shown = f"{kind}({', '.join(_keywords(value, names))})"
        found.append(f"{field.name}={shown}")
    return found
