"""Finding the endpoint of a transport among those that an instance publishes."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

__all__ = ["find_endpoint"]


def find_endpoint(endpoints: Sequence[str], scheme: str, *, secure: bool) -> str | None:
    """Return ``host:port`` of the first endpoint of a scheme; ``None`` if there is none.

    An endpoint that is no URL with host and port is passed over.
    """
    wanted = f"{scheme}s" if secure else scheme
    for endpoint in endpoints:
        try:
            url = urlsplit(endpoint)
            if url.scheme == wanted and url.hostname and url.port:
                return url.netloc.rpartition("@")[2]
        except ValueError:
            continue
    return None
