"""Routes beside the services of an API (Go: transport/http, Router, Route and HandleFunc)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kratos.errors import ConfigError
from kratos.transport import Dispatcher
from kratos.transport.http import Endpoint
from kratos.transport.rule import PathTemplate
from kratos_http._filtered import Filter, Filtered
from kratos_http._handlers import require_handler
from kratos_http._plain import (
    PlainEndpoint,
    PlainHandler,
    StreamedPlainEndpoint,
    method_of,
    whole,
)
from kratos_http.decoders import Decoders
from kratos_http.encoders import Encoders, ErrorEncoder, ReplyEncoder
from kratos_http.limits import Limits
from kratos_http.rest import RestOptions
from kratos_http.router import Router
from kratos_http.static import StaticFiles

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware

__all__ = ["Plain", "PlainRoute", "RouteGroup"]

H = TypeVar("H", bound=PlainHandler)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainRoute:
    """A plain handler and how it is called.

    Attributes:
        verb: HTTP method; ``*`` for every one.
        path: Path template, without the server's prefix.
        handler: What answers.
        middleware: Follows that of application and server.
        streamed: Whether body and answer are moved in pieces.
        max_body: Bytes of the largest body; ``None`` for the server's limit.
        timeout: Seconds; ``None`` for what the server says.
        reply_encoder: For messages that it returns; ``None`` for the server's.
        error_encoder: For its errors; ``None`` for the server's.
        decoders: For ``Request.bind`` and its like; ``None`` for the server's.
        filters: Around it, within those of the server, the first outermost.
    """

    verb: str
    path: str
    handler: PlainHandler
    middleware: tuple[AnyMiddleware, ...] = ()
    streamed: bool = False
    max_body: int | None = None
    timeout: float | None = None
    reply_encoder: ReplyEncoder | None = None
    error_encoder: ErrorEncoder | None = None
    decoders: Decoders | None = None
    filters: tuple[Filter, ...] = ()


class RouteGroup:
    """Routes with a prefix, and middleware, filters, encoders and decoders of their own.

    ``HttpServer.group`` makes one.
    """

    def __init__(
        self,
        register: Callable[[PlainRoute], None],
        prefix: str = "",
        *,
        middleware: Sequence[AnyMiddleware] = (),
        reply_encoder: ReplyEncoder | None = None,
        error_encoder: ErrorEncoder | None = None,
        decoders: Decoders | None = None,
        filters: Sequence[Filter] = (),
    ) -> None:
        if prefix and not prefix.startswith("/"):
            raise ConfigError(f"the prefix {prefix!r} of a group must start with a slash")
        self._register = register
        self._prefix = prefix.rstrip("/")
        self._middleware = tuple(middleware)
        self._reply_encoder = reply_encoder
        self._error_encoder = error_encoder
        self._decoders = decoders
        self._filters = tuple(filters)

    def route(
        self,
        verb: str,
        path: str,
        *,
        middleware: Sequence[AnyMiddleware] = (),
        streamed: bool = False,
        max_body: int | None = None,
        timeout: float | None = None,
    ) -> Callable[[H], H]:
        """Serve the decorated function; see ``add``."""

        def decorate(handler: H) -> H:
            self.add(
                verb,
                path,
                handler,
                middleware=middleware,
                streamed=streamed,
                max_body=max_body,
                timeout=timeout,
            )
            return handler

        return decorate

    def add(
        self,
        verb: str,
        path: str,
        handler: PlainHandler,
        /,
        *,
        middleware: Sequence[AnyMiddleware] = (),
        streamed: bool = False,
        max_body: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Serve a function of a ``Request``, in the middleware of application and server.

        It returns a ``Reply``, a ``StreamReply`` or a message, and raises ``Error`` as services
        do. Its operation, for selectors, limits, logs and metrics, is the whole path template.

        Args:
            verb: HTTP method, in capitals; ``*`` for every one. ``GET`` answers ``HEAD``, too.
            path: Path template, after the group's prefix.
            handler: What answers.
            middleware: Follows that of the group.
            streamed: Whether body and answer may be moved in pieces; the server's time limit
                does not hold then.
            max_body: Bytes of the largest body, also in pieces; ``None`` for the server's limit.
            timeout: Seconds for a call, infinite for no limit; ``None`` for what the server says.

        Raises:
            TemplateError: The path is no template.
            ConfigError: The verb is not in capitals, the limit is negative, or the method and path
                are taken.
            StartupError: An element of the middleware is none.
            TypeError: The handler is no ``async`` function.
        """
        if verb != verb.upper():
            raise ConfigError(f"verbs are in capitals: write {verb.upper()}, not {verb}, of {path}")
        if max_body is not None and max_body < 0:
            raise ConfigError(f"max_body of {path} must not be negative, but is {max_body}")
        whole_path = PathTemplate.parse(self._prefix + path).text
        require_handler(handler, f"{verb} {whole_path}")
        self._register(
            PlainRoute(
                verb=verb,
                path=whole_path,
                handler=handler,
                middleware=(*self._middleware, *middleware),
                streamed=streamed,
                max_body=max_body,
                timeout=timeout,
                reply_encoder=self._reply_encoder,
                error_encoder=self._error_encoder,
                decoders=self._decoders,
                filters=self._filters,
            )
        )

    def static(
        self,
        path: str,
        folder: str | Path,
        /,
        *,
        middleware: Sequence[AnyMiddleware] = (),
        index: str = "index.html",
        max_age: int | None = None,
        hidden: bool = False,
    ) -> None:
        """Serve the files of a folder, in the middleware of application and server.

        Args:
            path: Before the names of the files, after the group's prefix.
            folder: Where the files are.
            middleware: Follows that of the group.
            index: See ``StaticFiles``.
            max_age: See ``StaticFiles``.
            hidden: See ``StaticFiles``.

        Raises:
            TemplateError: The path is none.
            ConfigError: The folder is none.
        """
        files = StaticFiles(folder, index=index, max_age=max_age, hidden=hidden)
        where = f"{path.rstrip('/')}/{{path=**}}"
        self.add("GET", where, files, middleware=middleware, streamed=True, max_body=0)

    def group(
        self,
        prefix: str = "",
        *,
        middleware: Sequence[AnyMiddleware] = (),
        reply_encoder: ReplyEncoder | None = None,
        error_encoder: ErrorEncoder | None = None,
        decoders: Decoders | None = None,
        filters: Sequence[Filter] = (),
    ) -> RouteGroup:
        """Return a group within this one.

        Args:
            prefix: Follows this one's.
            middleware: Follows this one's.
            reply_encoder: For messages that handlers return; ``None`` for this one's.
            error_encoder: For their errors; ``None`` for this one's.
            decoders: For ``Request.bind`` and its like; ``None`` for this one's.
            filters: Around each of its routes, within this one's; the first outermost. They see
                requests that lead to a route, so ``Cors``, which answers others too, belongs to
                the server.

        Raises:
            ConfigError: The prefix is no path.
        """
        if prefix and not prefix.startswith("/"):
            raise ConfigError(f"the prefix {prefix!r} of a group must start with a slash")
        return RouteGroup(
            self._register,
            self._prefix + prefix,
            middleware=(*self._middleware, *middleware),
            reply_encoder=reply_encoder or self._reply_encoder,
            error_encoder=error_encoder or self._error_encoder,
            decoders=decoders or self._decoders,
            filters=(*self._filters, *filters),
        )


class Plain:
    """The plain routes of one server: kept until its chains are linked.

    Args:
        router: Where they are served.
        prefix: Of the server, part of their operations' names.
        options: Of the server.
        limits: Of the server.
        decoders: For routes whose group has none.
    """

    def __init__(
        self,
        router: Router,
        prefix: str,
        options: RestOptions,
        limits: Limits,
        *,
        decoders: Decoders | None = None,
    ) -> None:
        self._decoders = decoders
        self._router = router
        self._prefix = prefix.rstrip("/")
        self._options = options
        self._limits = limits
        self._waiting: list[PlainRoute] = []
        self._taken: set[tuple[str, str]] = set()
        self._dispatcher: Dispatcher | None = None

    def add(self, route: PlainRoute) -> None:
        """Serve a route, as soon as there are chains.

        Raises:
            ConfigError: There is one of the same method and path already.
            StartupError: An element of its middleware is none.
        """
        place = (route.verb, PathTemplate.parse(route.path).normalised)
        if place in self._taken:
            raise ConfigError(f"{route.verb} {route.path} is served twice on one server")
        self._taken.add(place)
        if self._dispatcher is None:
            self._waiting.append(route)
        else:
            self._serve(route, self._dispatcher)

    def link(self, dispatcher: Dispatcher) -> None:
        """Serve all routes, and further ones at once.

        Raises:
            StartupError: An element of their middleware is none.
        """
        self._dispatcher = dispatcher
        waiting, self._waiting = self._waiting, []
        for route in waiting:
            self._serve(route, dispatcher)

    def _serve(self, route: PlainRoute, dispatcher: Dispatcher) -> None:
        endpoint = self._endpoint(route, dispatcher)
        served = Filtered(endpoint, route.filters) if route.filters else endpoint
        self._router.add(route.verb, route.path, served)

    def _endpoint(self, route: PlainRoute, dispatcher: Dispatcher) -> Endpoint:
        operation = dispatcher.link(
            method_of(self._prefix + route.path, streamed=route.streamed),
            whole(route.handler),
            middleware=route.middleware,
            timeout=route.timeout,
        )
        variables = PathTemplate.parse(route.path).variables
        options = self._options_of(route)
        max_body = self._limits.max_body if route.max_body is None else route.max_body
        if not route.streamed:
            return PlainEndpoint(operation, variables, options, max_body=max_body)
        return StreamedPlainEndpoint(
            operation, variables, options, max_body=max_body, limits=self._limits
        )

    def _options_of(self, route: PlainRoute) -> RestOptions:
        options = self._options
        if route.reply_encoder is not None or route.error_encoder is not None:
            options = options.with_encoders(
                Encoders(
                    reply=route.reply_encoder or options.reply_encoder,
                    error=route.error_encoder or options.error_encoder,
                )
            )
        decoders = route.decoders or self._decoders
        return options if decoders is None else replace(options, decoders=decoders)
