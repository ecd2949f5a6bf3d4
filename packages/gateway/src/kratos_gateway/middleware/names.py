"""Names and values of headers in a configuration."""

from __future__ import annotations

import re
from typing import Final

from kratos.errors import ConfigError

__all__ = ["header_name", "header_value"]

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_UNSENDABLE: Final = re.compile(r"[\r\n\0]")


def header_name(text: str, /) -> bytes:
    """Return the name of a header in lower case.

    Raises:
        ConfigError: It is none.
    """
    if not _NAME.fullmatch(text.strip()):
        raise ConfigError(f"{text!r} is no name of a header")
    return text.strip().lower().encode()


def header_value(name: str, text: str, /) -> bytes:
    """Return the value of a header.

    Raises:
        ConfigError: It holds a line break or NUL, which would end the header early.
    """
    if _UNSENDABLE.search(text):
        raise ConfigError(f"the value of the header {name!r} holds a line break or NUL")
    return text.strip().encode()
