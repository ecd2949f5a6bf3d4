"""Let pages of other origins in (Go: middleware/cors)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos.log import Level
from kratos_gateway.api.cors_pb2 import Cors
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Handler, Middleware, Request
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.names import header_name
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain

__all__ = ["DEFAULT_HEADERS", "DEFAULT_METHODS", "build"]

Pairs: TypeAlias = "list[tuple[bytes, bytes]]"

DEFAULT_METHODS: Final = ("GET", "POST", "PUT", "DELETE")
DEFAULT_HEADERS: Final = ("Origin", "Content-Length", "Content-Type")
DEFAULT_MAX_AGE: Final = 600.0  # seconds

_CREDENTIALS: Final = (b"access-control-allow-credentials", b"true")
_PRIVATE: Final = (b"access-control-allow-private-network", b"true")
_PREFLIGHT_VARY: Final[Pairs] = [
    (b"vary", b"Origin"),
    (b"vary", b"Access-Control-Request-Method"),
    (b"vary", b"Access-Control-Request-Headers"),
]


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what answers preflights, and tells browsers who may read answers.

    Lists that are given replace the defaults. An origin that is not allowed is answered 403,
    whatever the method. Without ``allowOrigins``, every origin is allowed, as in Go.

    Raises:
        ConfigError: An origin is empty, or a header has no name.
    """
    told = options_of(options, Cors)
    allowed = _Origins(told.allow_origins)
    credentials = told.allow_credentials if told.HasField("allow_credentials") else True
    if allowed.all and credentials:
        context.logger.log(
            Level.WARN,
            "cors lets every origin read answers with the credentials of its visitors: "
            "name the origins in allowOrigins, or say allowCredentials: false",
        )
    shared: Pairs = [_CREDENTIALS] if credentials else []
    methods = told.allow_methods or DEFAULT_METHODS
    shared.append(_listed(b"methods", (method.strip().upper() for method in methods)))
    rules = _Rules(allowed, _preflight(told, shared), _normal(told, shared))
    private = told.allow_private_network

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            origin = request.header(b"origin")
            if not origin:
                request.options.marks.append(_varied)
                return _varied(await handler(request))
            if not rules.allow(origin):
                return Answer(403)
            if request.method == "OPTIONS":
                return rules.preflight(request, origin, private=private)
            request.options.marks.append(lambda answer: rules.marked(answer, origin))
            return rules.marked(await handler(request), origin)

        return handle

    return Plain(wrap)


class _Origins:
    """Those that are allowed."""

    def __init__(self, given: Iterable[str]) -> None:
        entries = [entry.strip().lower() for entry in given]
        if "" in entries:
            raise ConfigError("allowOrigins has an empty entry: write a host, *.host or *")
        self.all: Final = not entries or "*" in entries
        self._exact: Final = {entry for entry in entries if not entry.startswith("*")}
        self._ends: Final = tuple(entry[1:] for entry in entries if entry.startswith("*"))

    def allow(self, origin: str, /) -> bool:
        if self.all:
            return True
        host = _host(origin)
        return host in self._exact or origin in self._exact or host.endswith(self._ends)


class _Rules:
    """Answers, worked out beforehand."""

    def __init__(self, allowed: _Origins, preflight: Pairs, normal: Pairs) -> None:
        self._allowed: Final = allowed
        self._preflight: Final = preflight
        self._normal: Final = normal
        self._replaced: Final = {name for name, _ in normal} | {b"access-control-allow-origin"}

    def allow(self, origin: bytes) -> bool:
        return self._allowed.allow(origin.decode("latin-1").lower())

    def preflight(self, request: Request, origin: bytes, *, private: bool) -> Answer:
        headers = [*self._preflight, (b"access-control-allow-origin", origin)]
        asked = request.header(b"access-control-request-private-network") == b"true"
        return Answer(200, [*headers, _PRIVATE] if private and asked else headers)

    def marked(self, answer: Answer, origin: bytes) -> Answer:
        replaced = self._replaced
        kept = [pair for pair in answer.headers if pair[0] not in replaced]
        answer.headers = [*kept, *self._normal, (b"access-control-allow-origin", origin)]
        return _varied(answer)


def _preflight(told: Cors, shared: Pairs) -> Pairs:
    headers = told.allow_headers or DEFAULT_HEADERS
    age = DEFAULT_MAX_AGE
    if told.HasField("max_age"):
        age = seconds_of(told.max_age, name="maxAge")
    return [
        *shared,
        _listed(b"headers", map(_canonical, headers)),
        (b"access-control-max-age", str(int(age)).encode()),
        *_PREFLIGHT_VARY,
    ]


def _normal(told: Cors, shared: Pairs) -> Pairs:
    if not told.expose_headers:
        return shared
    names = ",".join(dict.fromkeys(map(_canonical, told.expose_headers)))
    return [*shared, (b"access-control-expose-headers", names.encode())]


def _listed(what: bytes, values: Iterable[str]) -> tuple[bytes, bytes]:
    return b"access-control-allow-" + what, ",".join(dict.fromkeys(values)).encode()


def _canonical(name: str) -> str:
    """Return a name as Go writes it: ``X-Total``."""
    if name.strip() == "*":
        return "*"
    return "-".join(part.capitalize() for part in header_name(name).decode().split("-"))


def _host(origin: str) -> str:
    """Return the host of an origin, without its port; empty for ``null``."""
    _, found, rest = origin.partition("://")
    if not found:
        return ""
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition("/")[0].partition(":")[0]


def _varied(answer: Answer) -> Answer:
    """Return an answer that says that it is another for pages of other origins."""
    if not _varies(answer.headers):
        answer.headers = [*answer.headers, (b"vary", b"Origin")]
    return answer


def _varies(headers: Pairs) -> bool:
    """Tell whether an answer says already that it depends on the origin."""
    return any(
        part.strip().lower() in (b"origin", b"*")
        for name, value in headers
        if name == b"vary"
        for part in value.split(b",")
    )
