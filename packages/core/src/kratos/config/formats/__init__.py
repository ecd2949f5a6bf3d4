"""Formats of configuration files: from bytes to a tree of plain values.

A decoder takes the bytes of a document and returns nested mappings, lists, texts, numbers,
booleans and ``None``. It raises ``ValueError`` that says what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias

__all__ = ["DECODERS", "Decoder", "decoder"]

Decoder: TypeAlias = Callable[[bytes], Any]
"""From a document to its tree, whose top is a mapping; ``None`` for an empty document."""

DECODERS: Final[Mapping[str, str]] = {
    "env": "dotenv",
    "json": "json",
    "properties": "properties",
    "toml": "toml",
    "xml": "xml",
    "yaml": "yaml",
    "yml": "yaml",
}
"""Formats by name, which is the ending of a file, and the module of each."""


def decoder(name: str) -> Decoder | None:
    """Return the decoder of a format, in any case; ``None`` for an unknown one."""
    module = DECODERS.get(name.lower())
    if module is None:
        return None
    # Imported on use: a program reads one or two formats, and YAML alone takes 10 ms.
    found: Decoder = import_module(f"{__name__}.{module}").decode
    return found
