"""Names of files in ``Content-Disposition``, of any language (RFC 6266, RFC 8187)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

__all__ = ["content_disposition", "extended"]

_EXTENDED: Final = re.compile(
    r"(utf-8|iso-8859-1)'[A-Za-z0-9-]*'((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*)",
    re.IGNORECASE,
)
_KEPT: Final = "!#$&+.^_`|~-"  # RFC 8187, 3.2.1: attr-char
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_PLAIN: Final = re.compile(r"[^ !#-\[\]-~]|%(?=[0-9A-Fa-f]{2})")


def content_disposition(filename: str, *, inline: bool = False) -> str:
    """Return the value of ``Content-Disposition`` by which a download is saved under a name.

    A name that is not plain ASCII goes in both forms, the one for old clients with underscores.

    Args:
        filename: Without folders; what stands before a slash or backslash is left out.
        inline: Whether a browser may show it in place of saving it.

    Raises:
        ValueError: No name is left, or it holds control characters or a lone surrogate.
    """
    name = filename.replace("\\", "/").rpartition("/")[2]
    if name in ("", ".", ".."):
        raise ValueError(f"{filename!r} is no name of a file")
    if _CONTROL.search(name):
        raise ValueError(f"the name of a file {filename!r} holds control characters")
    encoded = quote(name.encode(), safe=_KEPT)
    plain = _NOT_PLAIN.sub("_", name)
    kind = "inline" if inline else "attachment"
    value = f'{kind}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{encoded}"


def extended(value: str) -> str | None:
    """Return the text of an extended value, ``None`` if it is none (RFC 8187).

    Nor if it holds control characters, which no other header can carry.
    """
    found = _EXTENDED.fullmatch(value)
    if found is None:
        return None
    try:
        text = unquote_to_bytes(found[2]).decode(found[1])
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text
