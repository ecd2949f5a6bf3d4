"""What the entry points name."""

from __future__ import annotations

from typing import Any

from kratos_http.connector import HttpConnector

__all__ = ["connector"]


def connector(*, tls: Any = None, **options: Any) -> HttpConnector:
    """Make a connector.

    Args:
        tls: An ``ssl.SSLContext`` for secure nodes.
        options: Of ``HttpConnector``.

    Raises:
        ConfigError: An option has no such value.
    """
    return HttpConnector(tls=tls, **options)
