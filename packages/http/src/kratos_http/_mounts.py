"""Foreign applications within a server: where they are, and that they are started."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from kratos.errors import ConfigError
from kratos.offload import Offload
from kratos.transport import Dispatcher
from kratos.transport.rule import PathTemplate
from kratos_http._asgi_mount import AsgiApplication, AsgiEndpoint
from kratos_http._guarded_mount import ByKind, Guarded, Mountable, Unguarded
from kratos_http._lifespan import Mounted, lifespan
from kratos_http._plain import method_of
from kratos_http._wsgi_mount import WsgiApplication, WsgiEndpoint
from kratos_http.limits import Limits
from kratos_http.rest import RestOptions
from kratos_http.router import ANY, Router

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware

__all__ = ["Mounts"]


class Mounts:
    """The foreign applications of one server.

    Args:
        router: Where they are served.
        prefix: Of the server.
        options: Of the server.
        limits: Of the server.
    """

    def __init__(self, router: Router, prefix: str, options: RestOptions, limits: Limits) -> None:
        self._router = router
        self._prefix = prefix.rstrip("/")
        self._options = options
        self._limits = limits
        self._mounted: list[Mounted] = []
        self._pools: list[Offload] = []
        self._waiting: list[tuple[Guarded, str, tuple[AnyMiddleware, ...]]] = []
        self._dispatcher: Dispatcher | None = None

    def asgi(
        self,
        path: str,
        application: AsgiApplication,
        *,
        middleware: Sequence[AnyMiddleware] | None,
        max_body: int | None,
    ) -> None:
        """Serve an ASGI application; see ``HttpServer.mount_asgi``."""
        mounted = Mounted(application)
        room = self._room(path, max_body)
        endpoint = AsgiEndpoint(
            application,
            root=self._prefix + path.rstrip("/"),
            state=mounted.state,
            max_body=room,
            limits=self._limits,
            refuse=self._options.refusal,
        )
        self._serve(path, endpoint, middleware, room)
        self._mounted.append(mounted)

    def wsgi(
        self,
        path: str,
        application: WsgiApplication,
        *,
        middleware: Sequence[AnyMiddleware] | None,
        max_body: int | None,
        threads: int,
        queue: int,
    ) -> None:
        """Serve a WSGI application; see ``HttpServer.mount_wsgi``."""
        root = PathTemplate.parse(self._prefix + (path.rstrip("/") or "/")).segments
        room = self._room(path, max_body)
        pool = Offload(threads=threads, queue=queue, name="kratos-wsgi")
        endpoint = WsgiEndpoint(
            application,
            segments=len(root),
            pool=pool,
            max_body=room,
            limits=self._limits,
            refuse=self._options.refusal,
        )
        self._serve(path, endpoint, middleware, room)
        self._pools.append(pool)

    def link(self, dispatcher: Dispatcher) -> None:
        """Link the chains around those that have one, and of further ones at once.

        Raises:
            StartupError: An element of their middleware is none.
        """
        self._dispatcher = dispatcher
        waiting, self._waiting = self._waiting, []
        for guarded, path, middleware in waiting:
            self._link(guarded, path, middleware)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Keep them started; see ``HttpServer.lifespan``."""
        async with AsyncExitStack() as stack:
            for pool in self._pools:
                await stack.enter_async_context(pool)
            for mounted in self._mounted:
                await stack.enter_async_context(lifespan(mounted))
            yield

    def _serve(
        self,
        path: str,
        endpoint: Mountable,
        middleware: Sequence[AnyMiddleware] | None,
        max_body: int,
    ) -> None:
        where = f"{path.rstrip('/')}/{{path=**}}"
        if middleware is None:
            self._router.add(ANY, where, ByKind(Unguarded(endpoint, self._options)))
            return
        guarded = Guarded(endpoint, self._options, limits=self._limits, max_body=max_body)
        self._router.add(ANY, where, ByKind(guarded))
        self._link(guarded, where, tuple(middleware))

    def _link(self, guarded: Guarded, path: str, middleware: tuple[AnyMiddleware, ...]) -> None:
        if self._dispatcher is None:
            self._waiting.append((guarded, path, middleware))
            return
        method = method_of(self._prefix + path, streamed=True)
        guarded.operation = self._dispatcher.link(method, guarded.innermost, middleware=middleware)

    def _room(self, path: str, max_body: int | None) -> int:
        if max_body is not None and max_body < 0:
            raise ConfigError(f"max_body of {path} must not be negative, but is {max_body}")
        return self._limits.max_body if max_body is None else max_body
