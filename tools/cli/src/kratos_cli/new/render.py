"""From text with placeholders to text.

``{{name}}`` stands for a value. What is between a line ``{{#flag}}`` and a line ``{{/flag}}`` is
there if the flag is set, after ``{{^flag}}`` if it is not. Names that are not known stay as they
are: other tools write double braces, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kratos_cli.failure import CommandFailure

__all__ = ["render", "replace"]

_TAG: Final = re.compile(r"\s*\{\{([#^/])(\w+)\}\}\s*")
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")


def replace(text: str, values: Mapping[str, str]) -> str:
    """Return a text with values in place of their names."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def render(text: str, values: Mapping[str, str], flags: Mapping[str, bool], *, where: str) -> str:
    """Return a text with values in place of their names, and the parts that flags ask for.

    Args:
        text: The template.
        values: By name.
        flags: Whether parts are to be there, by name.
        where: What the template is called in errors.

    Raises:
        CommandFailure: A part begins and does not end, or the reverse.
    """
    kept: list[str] = []
    open_parts: list[tuple[str, bool]] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        tag = _TAG.fullmatch(line)
        if tag is None or tag[2] not in flags:
            if all(there for _, there in open_parts):
                kept.append(line)
        elif tag[1] != "/":
            open_parts.append((tag[2], flags[tag[2]] is (tag[1] == "#")))
        elif not open_parts or open_parts.pop()[0] != tag[2]:
            raise CommandFailure(
                f"{where}:{number}: the template ends {tag[2]!r}, which is not open"
            )
    if open_parts:
        raise CommandFailure(f"{where}: the template does not end the part {open_parts[-1][0]!r}")
    return replace("".join(kept), values)
