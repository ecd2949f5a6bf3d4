"""Keys of an issuer of OpenID Connect, by its discovery document (OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import json
from typing import Any, Final

from kratos.errors import ConfigError
from kratos.offload import offload
from kratos_jwt.fetching import checked_url, fetch, is_url

__all__ = ["Discovered", "discovery_url"]

_PLACE: Final = "/.well-known/openid-configuration"
_TIMEOUT: Final = 2.5  # seconds; there are two readings in the time of one
_MOST: Final = 256 * 1024  # bytes


def discovery_url(issuer: str, /) -> str:
    """Return where the document of an issuer is.

    Raises:
        ConfigError: It is no URL of https, but for this very machine.
    """
    if not is_url(issuer):
        raise ConfigError(f"openid is the URL of an issuer, https://host/path, not {issuer!r}")
    return checked_url(issuer, allow_http=False).rstrip("/") + _PLACE


class Discovered:
    """Reads the keys of an issuer, from where its document says that they are today.

    Args:
        issuer: Who has to be the issuer of the document, too.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer: Final = issuer

    async def __call__(self, url: str, /) -> bytes:
        """Return the set of keys.

        Args:
            url: Of the document.

        Raises:
            OSError: Something cannot be had.
            ValueError: The document is none, or that of another issuer.
            ConfigError: Its keys are not at a URL of https.
        """
        document = await offload(fetch, url, timeout=_TIMEOUT, max_size=_MOST)
        place = _place_of_keys(document, self._issuer)
        return await offload(fetch, place, timeout=_TIMEOUT, max_size=_MOST)


def _place_of_keys(document: bytes, issuer: str) -> str:
    told: Any = json.loads(document)
    if not isinstance(told, dict):
        raise ValueError("the discovery document is no object")
    named: Any = told.get("issuer")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if named != issuer:
        raise ValueError(f"the discovery document is that of {named!r:.200}, not of {issuer!r}")
    place: Any = told.get("jwks_uri")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(place, str) or not is_url(place):
        raise ValueError("the discovery document does not say where the keys are (jwks_uri)")
    return checked_url(place, allow_http=False)
