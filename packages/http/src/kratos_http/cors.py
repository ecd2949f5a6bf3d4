"""Which other origins may call from a browser (Fetch standard, HTTP-CORS protocol)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from kratos.errors import ConfigError
from kratos.transport.http import Endpoint, Head, HttpApplication, Reply, WireHeaders
from kratos_http._endpoints import Constant
from kratos_http._wrapping import replace_headers, with_headers, with_vary

__all__ = ["Cors"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_PREFLIGHT_VARY: Final = (
    b"origin", b"access-control-request-method", b"access-control-request-headers"
)  # fmt: skip


class Cors:
    """A filter that answers preflight requests and says which origins may read answers.

    An origin that is not allowed is served as if there were no filter: browsers keep the answer
    from it. Browsers apply no such rule to WebSockets: ``StreamOptions.origins`` does. What an
    engine refuses by itself, before any application (400, 408, 413, 414, 431), carries no such
    headers.

    Args:
        origins: Allowed origins, exact: ``https://app.example.com``; ``*`` alone for any, and
            ``null`` only if it is listed.
        origin_regex: A pattern that allowed origins match from end to end.
        methods: Allowed methods.
        headers: Request headers allowed besides those that always are; ``*`` alone for any but
            ``Authorization``, which has to be listed.
        expose: Headers of answers that scripts may read besides those that they always may.
        credentials: Whether cookies and the like may be sent; forbids every ``*``.
        max_age: Seconds for which browsers may keep the answer to a preflight request; they
            have their own maximum, of an hour or more.

    Raises:
        ConfigError: An origin is none, a method or header is no token, the pattern is
            malformed, or the rules of credentials are broken.
    """

    def __init__(
        self,
        origins: Sequence[str] = (),
        *,
        origin_regex: str | None = None,
        methods: Sequence[str] = _METHODS,
        headers: Sequence[str] = ("Content-Type",),
        expose: Sequence[str] = (),
        credentials: bool = False,
        max_age: int = 600,
    ) -> None:
        if isinstance(origins, str):
            raise ConfigError(f"origins must be a list, not the text {origins!r}")
        _check_tokens("methods", methods)
        _check_tokens("headers", headers)
        _check_tokens("expose", expose)
        starred = [
            name
            for name, values in (("origins", origins), ("methods", methods), ("headers", headers))
            if "*" in values
        ] + (["expose"] if "*" in expose else [])
        if credentials and starred:
            raise ConfigError(f"with credentials, list {starred[0]} one by one: browsers refuse *")
        if max_age < 0:
            raise ConfigError(f"max_age must not be negative, but is {max_age}")
        self._any = "*" in origins
        self._origins = frozenset(_checked_origin(each) for each in origins if each != "*")
        self._pattern = _compiled(origin_regex)
        self._varies = not self._any
        self._every: list[tuple[bytes, bytes]] = []
        if credentials:
            self._every.append((b"access-control-allow-credentials", b"true"))
        self._read = list(self._every)
        if expose:
            self._read.append((b"access-control-expose-headers", ", ".join(expose).encode()))
        self._preflight = [
            *self._every,
            (b"access-control-allow-methods", ", ".join(methods).encode()),
            (b"access-control-max-age", b"%d" % max_age),
        ]
        if headers:
            allowed = ", ".join(headers).encode()
            self._preflight.append((b"access-control-allow-headers", allowed))

    def __call__(self, application: HttpApplication, /) -> HttpApplication:
        """Wrap an application; see ``Filter``."""
        return _Guarded(application, self)

    def allows(self, origin: bytes) -> bool:
        """Tell whether an origin, as it stands in the header, may read answers."""
        if self._any:
            return True
        text = origin.decode("latin-1")
        return text in self._origins or (
            self._pattern is not None and self._pattern.fullmatch(text) is not None
        )

    def answer_preflight(self, origin: bytes) -> Reply:
        """Return the answer to a preflight request."""
        headers: list[tuple[bytes, bytes]] = [(b"vary", b", ".join(_PREFLIGHT_VARY))]
        if self.allows(origin):
            headers += [self._allowed(origin), *self._preflight]
        return Reply(204, headers)

    def mark(self, headers: WireHeaders, origin: bytes) -> WireHeaders:
        """Return the headers of an answer with what a browser asks for."""
        if self._varies:
            headers = with_vary(headers, b"origin")
        if not origin or not self.allows(origin):
            return headers
        return replace_headers(headers, (self._allowed(origin), *self._read))

    def _allowed(self, origin: bytes) -> tuple[bytes, bytes]:
        return (b"access-control-allow-origin", b"*" if self._any else origin)


class _Guarded:
    """An application behind the filter."""

    def __init__(self, application: HttpApplication, cors: Cors) -> None:
        self._application = application
        self._cors = cors

    def route(self, head: Head, /) -> Endpoint:
        cors = self._cors
        origins = [value for name, value in head.headers if name == b"origin"]
        origin = origins[0] if len(origins) == 1 else b""
        if head.method == "OPTIONS" and origin and head.header(b"access-control-request-method"):
            return Constant(cors.answer_preflight(origin))
        endpoint = self._application.route(head)
        return with_headers(endpoint, lambda headers: cors.mark(headers, origin))


def _checked_origin(origin: str) -> str:
    """Return an origin as browsers send it."""
    if origin == "null":
        return origin
    parts = urlsplit(origin)
    if not parts.scheme or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
        raise ConfigError(
            f"{origin!r} is no origin: write scheme://host or scheme://host:port in lower case, "
            "without a slash at the end"
        )
    if origin != origin.lower() or "@" in origin or "*" in origin:
        raise ConfigError(
            f"{origin!r} is no origin that a browser sends: use lower case, no user, and "
            "origin_regex for patterns"
        )
    return origin


def _check_tokens(name: str, values: Sequence[str]) -> None:
    if isinstance(values, str):
        raise ConfigError(f"{name} must be a list, not the text {values!r}")
    for value in values:
        if not _TOKEN.match(value):
            raise ConfigError(f"{name}: {value!r} is no token of HTTP")


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"origin_regex {pattern!r} is malformed: {error}") from error
