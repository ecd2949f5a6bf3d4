"""Cookies: read from requests, written into answers (RFC 6265)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from kratos.errors import ConfigError
from kratos.transport import Call

__all__ = ["Cookie", "SameSite", "parse_cookies", "set_cookie"]

SameSite: TypeAlias = Literal["Strict", "Lax", "None"]

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_VALUE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*\Z")
_READABLE: Final = re.compile(r"[\x20-\x21\x23-\x3a\x3c-\x5b\x5d-\x7e]*\Z")  # as in Go
_ATTRIBUTE: Final = re.compile(r"[\x20-\x3a\x3c-\x7e]*\Z")
_MOST: Final = 256  # of one request; no browser keeps more for a site
_SITES: Final = ("Strict", "Lax", "None")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """One cookie for a browser to keep; by default out of reach of scripts and of other sites.

    Attributes:
        name: Its name. ``__Host-`` before it makes browsers take it from this very host alone,
            over TLS; ``__Secure-`` only over TLS.
        value: Visible ASCII without space, quote, comma, semicolon and backslash: encode
            anything else, in base64 for instance.
        path: Paths that it is sent with.
        domain: Host that it is sent to, with all hosts below; empty for this host alone.
        max_age: Seconds that it is kept, zero to forget it at once; ``None`` until the browser
            is closed.
        secure: Whether it is sent over TLS only; browsers except ``localhost``.
        http_only: Whether scripts are kept from it.
        same_site: With which requests from other sites it is sent: none (``Strict``), links that
            are followed (``Lax``), or all (``None``).

    Raises:
        ConfigError: A part cannot be sent, or they contradict each other.
    """

    name: str
    value: str = ""
    path: str = "/"
    domain: str = ""
    max_age: int | None = None
    secure: bool = True
    http_only: bool = True
    same_site: SameSite = "Lax"

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ConfigError(f"{self.name!r} is no name of a cookie: letters, digits, - and _ are")
        if not _VALUE.match(self.value):
            # Not the value itself: it may be a secret, and errors are logged.
            raise ConfigError(f"cookie {self.name}: the value needs an encoding, such as base64")
        for attribute, text in (("path", self.path), ("domain", self.domain)):
            if not _ATTRIBUTE.match(text):
                raise ConfigError(f"cookie {self.name}: {attribute} {text!r} cannot be sent")
        if self.same_site not in _SITES:
            raise ConfigError(f"cookie {self.name}: same_site must be one of {', '.join(_SITES)}")
        if not self.secure and (
            self.same_site == "None" or self.name.startswith(("__Host-", "__Secure-"))
        ):
            raise ConfigError(f"cookie {self.name}: browsers drop it unless it is secure")
        if self.name.startswith("__Host-") and (self.domain or self.path != "/"):
            raise ConfigError(f"cookie {self.name}: with __Host- it has path / and no domain")

    def header(self) -> str:
        """Return the value of its ``Set-Cookie``."""
        parts = [f"{self.name}={self.value}", f"Path={self.path}"]
        if self.domain:
            parts.append(f"Domain={self.domain}")
        if self.max_age is not None:
            parts.append(f"Max-Age={self.max_age}")
        if self.secure:
            parts.append("Secure")
        if self.http_only:
            parts.append("HttpOnly")
        parts.append(f"SameSite={self.same_site}")
        return "; ".join(parts)


def set_cookie(call: Call, cookie: Cookie, /) -> None:
    """Send a cookie with the answer of a call (Go: ``http.SetCookie``).

    Raises:
        RuntimeError: The headers of the answer are on their way already.
    """
    call.reply_headers.add("set-cookie", cookie.header())


def parse_cookies(headers: Iterable[str], /) -> dict[str, str]:
    """Return the cookies of ``Cookie`` headers; of two with one name the first, as in Go.

    What is malformed is left out, and so is all beyond the first 256.
    """
    found: dict[str, str] = {}
    for header in headers:
        for part in header.split(";", _MOST)[:_MOST]:
            name, equals, value = part.strip().partition("=")
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            if equals and _NAME.match(name) and _READABLE.match(value) and len(found) < _MOST:
                found.setdefault(name, value)
    return found
