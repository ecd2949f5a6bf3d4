"""Let a service decide who is let in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, Error
from kratos.log import Level
from kratos.principal import Principal
from kratos_gateway.api.extauth_pb2 import ExtAuth
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Handler, Middleware, Request, RequestOptions
from kratos_gateway.headers import hyphenated
from kratos_gateway.middleware.bodies import read_whole
from kratos_gateway.middleware.callers import called_by, caller_of, not_for_others
from kratos_gateway.middleware.context import Context, Upstream
from kratos_gateway.middleware.names import header_name
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.refusal import hears_grpc, refuse
from kratos_gateway.middleware.requests import with_headers

__all__ = ["build"]

_MOST: Final = 64 * 1024  # bytes of a bad answer's body, which is the client's
_SENT: Final = ("authorization", "cookie")
_TO_CLIENT: Final = ("content-type", "www-authenticate", "location", "set-cookie")
# Somebody, whom the service knows: what he gets is not for everybody who is let in.
_KNOWN: Final = Principal(subject="", scheme="extauth")


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what asks a service about each request, before a back end is.

    It is asked by GET, without the request's body, and told in ``x-forwarded-method``,
    ``-proto``, ``-host``, ``-uri`` and ``-for`` what is wanted; once, however many attempts the
    request takes. A status of 200 to 299 lets the request through; what else it answers is the
    answer to the client, without its body where that is too long or too late. Its time comes off
    that of the request.

    Raises:
        ConfigError: There is nobody to ask, or a header has no name.
    """
    told = options_of(options, ExtAuth)
    if not told.endpoint.backends:
        raise ConfigError("extauth.endpoint has no backends")
    path = told.endpoint.path or "/"
    if not path.startswith("/"):
        raise ConfigError(f"extauth.endpoint.path must begin with a slash, not {path!r}")
    asking = _Asking(told, path, context)

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            return await asking.handle(request, handler)

        return handle

    return Plain(wrap, close=asking.aclose)


class _Asking:
    """Asks the service."""

    def __init__(self, told: ExtAuth, path: str, context: Context) -> None:
        self._endpoint: Final = told.endpoint
        self._path, _, self._query = path.partition("?")
        self._logger: Final = context.logger
        self._sent: Final = _names(told.request_headers or _SENT)
        self._to_back_end: Final = _names(told.back_end_headers)
        self._dropped: Final = frozenset(map(hyphenated, self._to_back_end))
        self._to_client: Final = _names(told.client_headers or _TO_CLIENT)
        self._timeout: Final = seconds_of(told.timeout, name="timeout") or 1.0
        self._fail_open: Final = told.fail_open
        # Last, when nothing can be refused any more: whoever has it has to close it.
        self._upstream: Final[Upstream | None] = (
            None if context.upstream is None else context.upstream(told.endpoint)
        )

    async def aclose(self) -> None:
        if self._upstream is not None:
            await self._upstream.aclose()

    async def handle(self, request: Request, handler: Handler) -> Answer:
        not_for_others(request)
        dropped = self._dropped
        kept = [pair for pair in request.headers if hyphenated(pair[0]) not in dropped]
        known: list[tuple[bytes, bytes]] | None = request.options.values.get(self)
        if known is not None:  # a further attempt of what was let in
            return await handler(with_headers(request, kept + known))
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._ask(request)
        except (OSError, TimeoutError, Error) as error:
            fields: dict[str, object] = {"error": f"{type(error).__name__}: {error}"}
            self._logger.log(Level.ERROR, "nobody could be asked about a request", fields)
            if self._fail_open:
                return await handler(with_headers(request, kept))
            message = "nobody could be asked whether this request is let in"
            return refuse(request, 503, reason="UNAVAILABLE", message=message)
        if not 200 <= answer.status <= 299:
            return await self._refused(request, answer)
        if not isinstance(answer.body, bytes):
            answer.body.close()  # its headers say all
        told = [pair for pair in answer.headers if pair[0] in self._to_back_end]
        request.options.values[self] = told
        if caller_of(request) is None:
            request = called_by(request, _KNOWN)
        return await handler(with_headers(request, kept + told))

    async def _ask(self, request: Request) -> Answer:
        if self._upstream is None:
            raise ConnectionError("there are no back ends here")
        return await self._upstream(self._question(request))

    def _question(self, request: Request) -> Request:
        target = f"{request.path}?{request.query}" if request.query else request.path
        headers = [
            pair
            for pair in request.headers
            if pair[0] in self._sent or pair[0] == b"x-forwarded-for"
        ]
        headers += [
            (b"x-forwarded-method", request.method.encode()),
            (b"x-forwarded-proto", request.scheme.encode()),
            # Byte by byte as the back end gets them, so that both read the same.
            (b"x-forwarded-host", request.host.encode("latin-1", "replace")),
            (b"x-forwarded-uri", target.encode("latin-1", "replace")),
        ]
        return replace(
            request,
            method="GET",
            path=self._path,
            query=self._query,
            headers=headers,
            body=b"",
            options=RequestOptions(self._endpoint),
        )

    async def _refused(self, request: Request, answer: Answer) -> Answer:
        """Return the answer to a client that is not let in; nothing about its body changes that."""
        body = b""
        try:
            async with asyncio.timeout(self._timeout):
                body = await read_whole(answer.body, _MOST)
        except (OSError, Error) as error:
            fields: dict[str, object] = {"error": f"{type(error).__name__}: {error}"}
            self._logger.log(Level.DEBUG, "a refusal has no body that could be passed on", fields)
        if hears_grpc(request):
            return refuse(request, answer.status, message="not let in")
        headers = [pair for pair in answer.headers if pair[0] in self._to_client]
        return Answer(answer.status, headers, body)


def _names(given: Iterable[str]) -> frozenset[bytes]:
    return frozenset(map(header_name, given))
