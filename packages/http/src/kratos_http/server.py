"""The HTTP server (Go: transport/http, Server)."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kratos import encoding
from kratos.address import Address
from kratos.encoding import Codecs
from kratos.errors import ConfigError, StartupError
from kratos.middleware.selector import Matcher
from kratos.options import require_instance, require_number
from kratos.tls import ServerTls
from kratos.transport import Dispatcher, Mount
from kratos.transport.chain import listed
from kratos.transport.http import Endpoint, HttpApplication
from kratos.transport.listening import place_of
from kratos.transport.naming import require_known
from kratos.transport.operation import CANCEL_GRACE, DEFAULT_TIMEOUT
from kratos.transport.wheel import time_limit
from kratos_http._asgi_mount import AsgiApplication
from kratos_http._filtered import Filter, filtered
from kratos_http._inbound import TRANSPORT
from kratos_http._listening import Listening
from kratos_http._mounts import Mounts
from kratos_http._multipart import FormLimits
from kratos_http._operations import Operations, by_name
from kratos_http._wsgi_mount import WsgiApplication
from kratos_http.decoders import Decoders
from kratos_http.encoders import Encoders, ErrorEncoder, ReplyEncoder
from kratos_http.engine import VERSIONS, Engine
from kratos_http.health import HealthPaths, probe
from kratos_http.limits import Limits
from kratos_http.openapi import OpenApi
from kratos_http.protocols import Guards, HttpProtocol, Protocols, Served, checked_protocols
from kratos_http.rest import Place, RestOptions
from kratos_http.router import Route, Router
from kratos_http.routes import H, Plain, RouteGroup
from kratos_http.streams import StreamOptions

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware
    from kratos_http.openapi.document import Document

__all__ = ["Filter", "HttpServer"]

_log = logging.getLogger("kratos.http")


class HttpServer:
    """Serves services over HTTP/1.1 and HTTP/2, as their definitions say.

    That is by rules of ``google.api.http``, without which a method is not served, and by options
    of ``kratos/http.proto``.

    Args:
        address: ``:8000``, ``host:port``, ``[ipv6]:port`` or ``unix:/path``; port 0 lets the
            system choose.
        middleware: The chain, outermost first; it follows the application's.
        timeout: Seconds for a call; ``None`` or not positive for no limit. A caller's shorter
            ``Grpc-Timeout`` wins.
        timeouts: Seconds by operation name, in place of ``timeout`` and of what definitions say.
        floors: Seconds that operations take at least, by name: a call with less left is refused
            at once, with 504 ``BUDGET_TOO_SMALL``.
        endpoint: URL for the registry, in place of one made of the address.
        tls: Serve TLS with these certificates, which may change, or with this context.
        sock: A bound socket to serve on, in place of ``address``; it becomes the server's own.
        socket_mode: Permissions of a Unix socket, for instance ``0o660``; ``None`` for what the
            process's umask leaves. Whoever may write to it may connect.
        path_prefix: Path before every route, for instance ``/api``.
        strict_slash: Whether paths with a slash at their end are redirected to those without.
        limits: What peers may do.
        versions: Of HTTP that the port speaks, the preferred one first: ``("2", "1.1")``, or one
            of these alone. Without TLS, HTTP/2 is for peers that know that it is spoken.
        codecs: For bodies and replies; a copy of ``kratos.encoding.DEFAULT`` may hold others.
        reply_encoder: Makes the answers of calls that succeed, for instance in an envelope.
        error_encoder: Makes the answers of everything that fails, also 404 and 405.
        encoders: In place of both and of what definitions say, by the name of an operation
            (``/shop.v1.Orders/Get``) or of a service (``/shop.v1.Orders/``).
        decoders: How requests are read: for all, or by name as ``encoders``, ``*`` for the rest.
        filters: Wrap the whole application, outermost first, also what leads to no route.
        streams: How streaming methods are served.
        protocols: Further protocols on the port, within the filters: ``Grpc()``, ``GrpcWeb()``,
            ``Connect()`` of ``kratos_grpc``. They serve every method, in the same chains, by
            content type before any route.
        health_paths: Where probes are answered; ``None`` for nowhere.
        openapi: Serve a description of the API, and a page for trying calls; ``None`` for neither.
        cancel_grace: Seconds that cancelled calls get to clean up when stopping is cut short.

    Raises:
        TargetError: The address is none of these.
        ConfigError: The prefix is no path, or ``health_paths`` or ``openapi`` are no such options,
            or ``versions`` are none.
        TypeError: A filter is none.
    """

    def __init__(
        self,
        address: str = ":0",
        *,
        middleware: Sequence[AnyMiddleware] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        timeouts: Mapping[str, float] | None = None,
        floors: Mapping[str, float] | None = None,
        endpoint: str | None = None,
        tls: ServerTls | ssl.SSLContext | None = None,
        sock: socket.socket | None = None,
        socket_mode: int | None = None,
        path_prefix: str = "",
        strict_slash: bool = True,
        limits: Limits | None = None,
        versions: Sequence[str] = VERSIONS,
        codecs: Codecs = encoding.DEFAULT,
        reply_encoder: ReplyEncoder | None = None,
        error_encoder: ErrorEncoder | None = None,
        encoders: Mapping[str, Encoders] | None = None,
        decoders: Decoders | Mapping[str, Decoders] | None = None,
        filters: Sequence[Filter] = (),
        streams: StreamOptions | None = None,
        protocols: Sequence[HttpProtocol] = (),
        health_paths: HealthPaths | None = None,
        openapi: OpenApi | None = None,
        cancel_grace: float = CANCEL_GRACE,
    ) -> None:
        if path_prefix and not path_prefix.startswith("/"):
            raise ConfigError(f"path_prefix {path_prefix!r} must start with a slash")
        require_instance("health_paths", health_paths, HealthPaths)
        require_instance("openapi", openapi, OpenApi)
        require_instance("limits", limits, Limits)
        require_instance("streams", streams, StreamOptions)
        require_number("cancel_grace", cancel_grace, least=0)
        self._middleware = listed(middleware)
        self._timeout = time_limit(timeout)
        self._timeouts = timeouts
        self._floors = floors
        self._health_paths = health_paths
        self._openapi = openapi
        self._prefix = path_prefix
        self._cancel_grace = cancel_grace
        self._limits = limits or Limits()
        self._options = RestOptions(
            codecs=codecs,
            max_body=self._limits.max_body,
            forms=FormLimits(max_parts=self._limits.max_parts, max_head=self._limits.max_part_head),
            reply_encoder=reply_encoder,
            error_encoder=error_encoder,
            place=Place(endpoint or ""),
        )
        self._router = Router(
            error_reply=self._options.refusal, strict_slash=strict_slash, prefix=path_prefix
        )
        self._protocols = checked_protocols(protocols, versions)
        served = Protocols(self._protocols, self._router) if self._protocols else self._router
        self._application = filtered(served, filters)
        self._operations = Operations(
            self._router,
            self._options,
            encoders=dict(encoders or {}),
            decoders=by_name(decoders),
            streams=streams or StreamOptions(),
            limits=self._limits,
        )
        self._listening = Listening(
            place_of(address, socket_mode=socket_mode),
            engine=Engine(self._application, limits=self._limits, versions=versions),
            place=self._options.place,
            endpoint=endpoint,
            tls=tls,
            sock=sock,
            cancel_grace=cancel_grace,
            schemes=(TRANSPORT, *(each.scheme for each in self._protocols if each.scheme)),
        )
        self._plain = Plain(
            self._router,
            path_prefix,
            self._options,
            self._limits,
            decoders=by_name(decoders).get("*"),
        )
        self._matcher = Matcher()
        self._mounts = Mounts(self._router, path_prefix, self._options, self._limits)
        self._dispatcher: Dispatcher | None = None

    @property
    def application(self) -> HttpApplication:
        """What is served, filters included; ``Asgi`` takes it."""
        return self._application

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes in the order in which they were added."""
        return self._router.routes

    @property
    def address(self) -> Address | None:
        """Where it is to listen; ``None`` for a socket that it was given."""
        return self._listening.address

    @property
    def takes_socket(self) -> bool:
        """Whether it can listen on a socket that another process made; see ``Shareable``."""
        return True

    def share(self, place: socket.socket | Address, /) -> None:
        """Serve on a socket that other processes have, too; see ``Shareable``."""
        assert isinstance(place, socket.socket), "takes_socket says so"
        self._listening.share(place)

    def handle(self, verb: str, path: str, endpoint: Endpoint, /) -> None:
        """Serve an endpoint beside the services, without their middleware.

        Args:
            verb: HTTP method; ``*`` for every one.
            path: Path template; its values are ``Head.params``.
            endpoint: What answers.

        Raises:
            TemplateError: The path is no template.
        """
        self._router.add(verb, path, endpoint)

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
        """Return a group for plain handlers beside the services; see ``RouteGroup.group``."""
        return RouteGroup(self._plain.add).group(
            prefix,
            middleware=middleware,
            reply_encoder=reply_encoder,
            error_encoder=error_encoder,
            decoders=decoders,
            filters=filters,
        )

    def use(self, selector: str, middleware: Sequence[AnyMiddleware], /) -> None:
        """Put middleware around some operations, after the server's own (Go: ``Server.Use``).

        Args:
            selector: An operation, or with ``*`` at its end the beginning of some, such as
                ``/shop.v1.Orders/*``; that of a plain handler is its path template. The one that
                names an operation decides alone, else the longest beginning.
            middleware: The first outermost; in place of what the selector had.

        Raises:
            ConfigError: The selector is like no operation, or the chains are linked already.
        """
        if self._dispatcher is not None:
            raise ConfigError("use(...) comes before the application starts")
        self._matcher.add(selector, middleware)

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
        """Serve the decorated function beside the services; see ``RouteGroup.add``."""
        return self.group().route(
            verb,
            path,
            middleware=middleware,
            streamed=streamed,
            max_body=max_body,
            timeout=timeout,
        )

    def mount_asgi(
        self,
        path: str,
        application: AsgiApplication,
        /,
        *,
        middleware: Sequence[AnyMiddleware] | None = None,
        max_body: int | None = None,
    ) -> None:
        """Serve an ASGI 3 application below a path, within the filters.

        Its ``root_path`` is the path. It gets HTTP requests and WebSockets; which origins may
        open these is its own business. Its lifespan is that of the server; see ``lifespan``.

        Args:
            path: Where; ``/`` for all that nothing else answers.
            application: What answers.
            middleware: Around it, after that of application and server; empty for these alone,
                ``None`` for none at all. One call is one request, or one WebSocket.
            max_body: Bytes of the largest body; ``None`` for the server's limit.

        Raises:
            TemplateError: The path is none.
            ConfigError: The limit is negative.
            StartupError: An element of the middleware is none.
        """
        self._mounts.asgi(path, application, middleware=middleware, max_body=max_body)

    def mount_wsgi(
        self,
        path: str,
        application: WsgiApplication,
        /,
        *,
        middleware: Sequence[AnyMiddleware] | None = None,
        max_body: int | None = None,
        threads: int = 32,
        queue: int = 256,
    ) -> None:
        """Serve a WSGI application below a path, in threads, within the filters.

        Its ``SCRIPT_NAME`` is the path. A peer that is slow, in sending or in taking, occupies a
        thread meanwhile.

        Args:
            path: Where; ``/`` for all that nothing else answers.
            application: What answers.
            middleware: As of ``mount_asgi``; it runs on the event loop.
            max_body: Bytes of the largest body; ``None`` for the server's limit.
            threads: How many requests it answers at a time.
            queue: How many may wait for a thread; the next one is 503 ``OFFLOAD_FULL``.

        Raises:
            TemplateError: The path is none.
            ConfigError: A bound is too small.
            StartupError: An element of the middleware is none.
        """
        self._mounts.wsgi(
            path,
            application,
            middleware=middleware,
            max_body=max_body,
            threads=threads,
            queue=queue,
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Keep mounted applications started; ``Asgi(..., lifespan=server.lifespan)`` needs it.

        ``start`` enters it by itself.

        Raises:
            StartupError: One of them says that it cannot start.
        """
        async with self._mounts.lifespan():
            yield

    def mount(self, mount: Mount, /) -> None:
        """Link the chains of all services and route their rules; see ``Mountable``.

        Raises:
            StartupError: A service cannot be served, one of its rules is wrong, or an option
                names an operation that is not served.
            ConfigError: A floor is none, or more than its operation's time limit.
        """
        if self._dispatcher is not None:
            raise StartupError("an HTTP server takes the services of one application, once")
        middleware = (*mount.middleware, *self._middleware, self._matcher)
        self._dispatcher = Dispatcher(
            transport=TRANSPORT,
            middleware=middleware,
            timeout=self._timeout,
            timeouts=self._timeouts,
            floors=self._floors,
            missing=mount.missing,
            cancel_grace=self._cancel_grace,
        )
        self._plain.link(self._dispatcher)
        self._mounts.link(self._dispatcher)
        for service in mount.services:
            self._dispatcher.add(service)
        self._dispatcher.check_names()
        known = self._dispatcher.names | self._serve_protocols(mount, self._dispatcher, middleware)
        require_known("use(...)", self._matcher.selectors, known)
        self._operations.serve(self._dispatcher.operations.values())
        self._listening.dispatcher = self._dispatcher
        self._listening.mount(mount)
        if self._health_paths is not None and mount.health is not None:
            for path, kind in self._health_paths.questions().items():
                self._router.add("GET", path, probe(mount.health, kind))
        if self._openapi is not None:
            from kratos_http.openapi.publish import publish

            publish(self._openapi, self.describe(mount, self._openapi), self._router)

    def _serve_protocols(
        self, mount: Mount, dispatcher: Dispatcher, middleware: Sequence[AnyMiddleware]
    ) -> frozenset[str]:
        """Give all that is served to the protocols; return the names of what they bring."""
        guards = Guards(TRANSPORT, middleware, cancel_grace=self._cancel_grace)
        served = Served(
            mount=mount,
            operations=dict(dispatcher.operations),
            place=self._options.place,
            guarded=guards,
        )
        for protocol in self._protocols:
            protocol.mount(served)
        self._listening.aside = served.aside
        return guards.names

    @property
    def openapi(self) -> OpenApi | None:
        """How it describes itself; ``None`` if it does not."""
        return self._openapi

    def describe(self, mount: Mount, openapi: OpenApi, /) -> Document:
        """Return the OpenAPI document of services, as this server answers for them.

        Raises:
            ConfigError: A rule names a field that its message has not.
            TemplateError: The path of a rule is no template.
        """
        from kratos_http.openapi.document import describe

        return describe(
            mount.services,
            openapi,
            codecs=self._options.codecs,
            info=mount.info,
            prefix=self._prefix,
            own_replies=self._options.reply_encoder is not None,
            own_errors=self._options.error_encoder is not None,
            encoders_of=self._operations.encoders_of,
        )

    async def bind(self) -> Sequence[str]:
        """Reserve the address and return the endpoint's URL; see ``Endpointer``.

        One more for each protocol whose clients look for a scheme of its own, unless one was given.
        A Unix socket has none, unless one was given: no registry could use it.

        Raises:
            StartupError: The address is in use or does not exist here; names it.
        """
        return await self._listening.bind()

    async def start(self) -> None:
        """Serve until ``stop`` has ended; see ``Server``.

        Raises:
            StartupError: The address cannot be had after all, or a mounted application does
                not start.

        Cancellation: cuts off every connection and lets the cancellation pass.
        """
        await self._listening.start(self.lifespan)

    async def ready(self) -> None:
        """Return when connections are accepted; see ``Readying``."""
        await self._listening.ready()

    async def stop(self) -> None:
        """Accept nothing more, answer what is in flight, then let ``start`` return.

        Idle connections are closed at once, others after their present answer, which says so.
        Idempotent.

        Cancellation: cancels what is in flight with ``Cause.DRAINING``, so that it is answered
        503, and cuts off whatever is left after ``cancel_grace``.
        """
        await self._listening.stop()
