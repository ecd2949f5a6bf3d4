"""Endpoints that the gateway answers by itself: redirects, and answers that are always the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from kratos.errors import ConfigError
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint, Redirect, Response
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.headers import HOP
from kratos_gateway.middleware.names import header_name, header_value
from kratos_gateway.proxy.location import Location

__all__ = ["Local", "local_of"]

_Answering: TypeAlias = Callable[[Request], Answer]

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_USUAL: Final = 302
_BODILESS: Final = (204, 205, 304)
_LEAST, _MOST = 200, 599
_OWN: Final = HOP | {b"content-length"}
_SCHEMES: Final = (b"http", b"https")


class Local:
    """The innermost handler of an endpoint without back ends, in place of a ``Client``.

    Args:
        answering: Makes the answer to a request.
    """

    def __init__(self, answering: _Answering) -> None:
        self._answering = answering

    @property
    def lacking(self) -> Sequence[str]:
        """No service: none is looked up."""
        return ()

    async def __call__(self, request: Request, /) -> Answer:
        """Answer an attempt; see ``Handler``."""
        return self._answering(request)

    def watched(self, _service: str, /) -> None:
        """Return that no service is looked up."""

    def show(self) -> Sequence[Any]:
        """Return that there is no node."""
        return ()

    async def ready(self) -> None:
        """Return at once: there is nothing to wait for."""

    async def aclose(self) -> None:
        """Do nothing: nothing is held."""


def local_of(endpoint: Endpoint) -> Local | None:
    """Return what answers an endpoint by itself; ``None`` for one with back ends.

    Raises:
        ConfigError: Its redirect or its answer is none, or it has both or back ends besides.
    """
    redirects, responds = endpoint.HasField("redirect"), endpoint.HasField("respond")
    if not (redirects or responds):
        return None
    name = "redirect" if redirects else "respond"
    if redirects and responds:
        raise ConfigError("redirect and respond are both there: leave one")
    if endpoint.backends:
        raise ConfigError(f"{name} answers in place of back ends: leave {name} or backends")
    try:
        if responds:
            return Local(_fixed(endpoint.respond))
        if endpoint.protocol == GRPC:
            raise ConfigError("calls of gRPC are not redirected: write protocol: HTTP")
        return Local(_redirecting(endpoint.redirect, endpoint.path))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def _redirecting(told: Redirect, pattern: str) -> _Answering:
    status = told.status or _USUAL
    if status not in _REDIRECTS:
        known = ", ".join(map(str, _REDIRECTS))
        raise ConfigError(f"status is one of {known}, not {status}")
    location = Location(told, pattern)

    def answer(request: Request) -> Answer:
        forwarded = request.header(b"x-forwarded-proto").lower()
        scheme = forwarded.decode() if forwarded in _SCHEMES else request.scheme
        place = location.of(
            scheme=scheme, host=request.host, path=request.path, query=request.query
        )
        return Answer(status, [(b"location", place.encode())])

    return answer


def _fixed(told: Response) -> _Answering:
    status = told.status
    if not _LEAST <= status <= _MOST:
        raise ConfigError(f"status is from {_LEAST} to {_MOST}, not {status}")
    if told.body and status in _BODILESS:
        raise ConfigError(f"an answer with the status {status} has no body")
    headers = [(header_name(name), header_value(name, told.headers[name]))
               for name in sorted(told.headers)]  # fmt: skip
    for name, _ in headers:
        if name in _OWN:
            raise ConfigError(f"headers: {name.decode()} is written by the gateway itself")
    body = told.body.encode()
    if body and not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    length = (b"content-length", b"%d" % len(body))

    def answer(request: Request) -> Answer:
        if request.method == "HEAD":
            return Answer(status, [*headers, length])
        return Answer(status, list(headers), body)

    return answer
