"""Reading a set of keys over HTTP, by the standard library, in a thread."""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from kratos.errors import ConfigError
from kratos.url import mask

__all__ = ["checked_url", "fetch", "is_url"]

_PIECE: Final = 64 * 1024
_HEADERS: Final = {
    "Accept": "application/jwk-set+json, application/json",
    "User-Agent": "kratos-jwt",
}


def is_url(location: str) -> bool:
    """Tell whether a location is the URL of something, and no path."""
    return "://" in location


def checked_url(url: str, *, allow_http: bool) -> str:
    """Return the URL of a set of keys.

    Raises:
        ConfigError: It is none, has a password in it, or is not encrypted where it has to be.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{mask(url)!r} is no URL of a key set: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{mask(url)!r} is no URL of a key set: it has to be https://host/path")
    if parts.username is not None:
        raise ConfigError(f"{mask(url)!r}: a key set is public, its URL has no user")
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise ConfigError(
            f"{mask(url)!r}: whoever can change keys on their way can sign tokens; use https, or "
            "say allow_http=True where the network is trusted"
        )
    return url


def fetch(url: str, *, timeout: float, max_size: int) -> bytes:
    """Return what is at a URL; blocks.

    Args:
        url: Checked by ``checked_url``. Redirects are not followed.
        timeout: Seconds for each step, and for all of the body.
        max_size: Bytes of the longest answer.

    Raises:
        OSError: It cannot be had.
        ValueError: It is too long.
    """
    until = time.monotonic() + timeout
    pieces: list[bytes] = []
    size = 0
    opener = build_opener(_NoRedirect)
    request = Request(url, headers=_HEADERS)  # noqa: S310  checked to be of HTTP
    answer: Any = opener.open(request, timeout=timeout)
    with answer:
        while piece := answer.read1(_PIECE):
            size += len(piece)
            if size > max_size:
                raise ValueError(f"the answer is longer than {max_size} bytes")
            if time.monotonic() > until:
                raise TimeoutError(f"the answer took longer than {timeout} s")
            pieces.append(piece)
    return b"".join(pieces)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow none: ``open`` raises the answer's status."""


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or _is_loopback_v4(host)


def _is_loopback_v4(host: str) -> bool:
    parts = host.split(".")
    return parts[0] == "127" and len(parts) == 4 and all(part.isdecimal() for part in parts)
