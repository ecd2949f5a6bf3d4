"""Names of headers that options give."""

from __future__ import annotations

from kratos.errors import ConfigError
from kratos.transport.header import Header

__all__ = ["header_name"]


def header_name(name: str, /) -> str:
    """Return the name of a header in lower case.

    Raises:
        ConfigError: It is none.
    """
    try:
        Header().set(name, "")
    except ValueError as error:
        raise ConfigError(f"header={name!r}: {error}") from error
    return name.lower()
