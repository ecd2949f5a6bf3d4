"""Where a redirect of the configuration leads (RFC 9110, 10.2.2)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, quote_from_bytes

from kratos.errors import ConfigError, Error
from kratos_gateway.api.gateway_pb2 import Redirect
from kratos_gateway.routing import PathPattern, clean
from kratos_gateway.routing.pattern import without_port

__all__ = ["Location", "query_of"]

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_ESCAPE: Final = re.compile("%(?![0-9a-fA-F]{2})")
_PATH: Final = "/%:@!$&'()*+,;=-._~"
_QUERY: Final = "%/?:@!$&'()*+,;=-._~[]{}|^"


def query_of(query: bytes, /) -> str:
    """Return a query with its question mark, and empty if there is none.

    Clients choose it, so what cannot stand in a header or would end it is encoded.
    """
    return f"?{quote_from_bytes(query, safe=_QUERY)}" if query else ""


class Location:
    """Makes the ``Location`` of the redirects of one endpoint.

    A path always begins with one slash, and neither another one nor a backslash follows: browsers
    would take what comes then for a host. Without ``host`` and ``https`` there is none in it.

    Args:
        told: As the configuration has it.
        pattern: Path of the endpoint.

    Raises:
        ConfigError: It leads nowhere; says what is wrong.
    """

    def __init__(self, told: Redirect, pattern: str) -> None:
        self._to: Final = told.WhichOneof("to")
        if not (told.https or told.host or self._to or told.strip_query):
            raise ConfigError("it leads to where it comes from: write https, host, path or prefix")
        if told.host and not _HOST.fullmatch(told.host):
            raise ConfigError(f"host: {told.host!r} is no host, or host:port")
        self._path = _path("path", told.path) if self._to == "path" else ""
        self._prefix = _path("prefix", told.prefix) if self._to == "prefix" else ""
        if self._prefix and not pattern.endswith("*"):
            raise ConfigError(
                f"prefix: the path {pattern!r} has no star at its end, so there is no prefix: "
                "write path"
            )
        self._pattern = PathPattern.parse(pattern)
        self._https = told.https
        self._host = told.host
        self._strip = told.strip_query

    def of(self, *, scheme: str, host: str, path: str, query: str) -> str:
        """Return it for a request.

        Args:
            scheme: By which the client came.
            host: That it named.
            path: Percent-encoded.
            query: As it was sent.

        Raises:
            Error: 400: the request names no host, and it is needed.
        """
        place = self._moved(path)
        if not self._strip:
            place += query_of(query.encode("latin-1", "replace"))
        if not (self._https or self._host):
            return place
        if not self._host:
            if not _HOST.fullmatch(host):
                raise Error(400, "HOST", "the request names no host to go back to")
            host = without_port(host)  # the port is that of what has no TLS
        return f"{'https' if self._https else scheme}://{self._host or host}{place}"

    def _moved(self, path: str) -> str:
        if self._path:
            return self._path
        raw = path.encode("latin-1", "replace")
        if self._prefix:
            decoded = clean(raw).decoded
            end = self._pattern.taken(decoded)
            if end is not None:
                return self._joined(decoded[:end], decoded[end:])
        return clean(raw).wire

    def _joined(self, before: str, rest: str) -> str:
        slash = "/" if before.endswith("/") and not self._prefix.endswith("/") else ""
        encoded = quote(rest.encode("utf-8", "surrogateescape"), safe="/")
        return clean(f"{self._prefix}{slash}{encoded}".encode()).wire


def _path(name: str, text: str) -> str:
    """Return a path as it is sent; what is encoded already stays."""
    if not text.startswith("/"):
        raise ConfigError(f"{name} must begin with a slash, not {text!r}")
    return clean(quote(_ESCAPE.sub("%25", text), safe=_PATH).encode()).wire
