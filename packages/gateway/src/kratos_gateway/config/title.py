"""Name and version of a configuration, for whoever needs no more of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kratos_gateway.config.load import parse

__all__ = ["title_of"]

_LINE: Final = re.compile(r"^(?:name|version|\"name\"|\"version\")[ \t]*:.*$", re.MULTILINE)


def title_of(text: str, *, environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return the name and the version that a configuration has, empty where it has none.

    Thousands of endpoints take seconds to read. In block style, keys of the whole begin their
    lines, as nothing else does, so these lines are enough; text in braces is read as a whole.

    Args:
        text: The whole text, in YAML or JSON.
        environ: Variables for placeholders; ``None`` for those of the process.

    Raises:
        ConfigError: It is none, or a variable is missing.
    """
    lines = text if text.lstrip().startswith("{") else "\n".join(_LINE.findall(text))
    if not lines:
        return "", ""
    found = parse(lines, environ=environ)
    return found.name, found.version
