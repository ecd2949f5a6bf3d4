"""Where in a request a token is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from kratos.errors import ConfigError
from kratos.transport import Call
from kratos_jwt.refusal import INVALID, Refused

__all__ = ["Source", "bearer", "cookie", "subprotocol"]

Source: TypeAlias = "Callable[[Call], str | None]"
"""Returns the token of a call, ``None`` if there is none; raises ``Refused`` for several."""

_SCHEME: Final = "bearer"


def bearer(header: str = "authorization", /) -> Source:
    """Return the source of tokens in ``Authorization: Bearer <token>``; the scheme in any case.

    Args:
        header: Name of another header that has the same form, as proxies use.
    """

    def find(call: Call, /) -> str | None:
        values = call.headers.values(header)
        if len(values) > 1:
            raise Refused(INVALID, f"there are {len(values)} headers {header!r}")
        if not values:
            return None
        scheme, _, token = values[0].partition(" ")
        return token if scheme.lower() == _SCHEME and token else None

    return find


def cookie(name: str, /) -> Source:
    """Return the source of tokens in a cookie, for browsers.

    Browsers send cookies along with requests that other sites cause: set it with ``SameSite``,
    ``HttpOnly`` and ``Secure``, and give ``StreamOptions.origins`` to servers of WebSockets.

    Args:
        name: Of the cookie.

    Raises:
        ConfigError: It is no name of a cookie.
    """
    if not name or any(char in name for char in "=;, \t\r\n"):
        raise ConfigError(f"{name!r} is no name of a cookie")

    def find(call: Call, /) -> str | None:
        found = [
            value.strip().strip('"')
            for line in call.headers.values("cookie")
            for key, equals, value in (pair.partition("=") for pair in line.split(";"))
            if equals and key.strip() == name
        ]
        if len(found) > 1:
            raise Refused(INVALID, f"there are {len(found)} cookies {name!r}")
        return found[0] or None if found else None

    return find


def subprotocol(prefix: str = "kratos.bearer.", /) -> Source:
    """Return the source of tokens among the protocols that a WebSocket offers.

    Browsers cannot set headers of WebSockets, but offer protocols:

        new WebSocket(url, ["kratos.stream.v1", "kratos.bearer." + token])

    The server answers with ``kratos.stream.v1`` alone, so it has to be offered, too.

    Args:
        prefix: What stands before the token.

    Raises:
        ConfigError: It is empty.
    """
    if not prefix:
        raise ConfigError("a protocol that carries a token begins with some prefix")

    def find(call: Call, /) -> str | None:
        found = [
            item.strip().removeprefix(prefix)
            for line in call.headers.values("sec-websocket-protocol")
            for item in line.split(",")
            if item.strip().startswith(prefix)
        ]
        if len(found) > 1:
            raise Refused(INVALID, f"{len(found)} tokens are offered as protocols")
        return found[0] or None if found else None

    return find
