"""The endpoints of one configuration, as an application for engines (Go: proxy.Proxy)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, TypeAlias

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.options import require_count
from kratos.registry import Discovery
from kratos.selector import PowerOfTwoChoices, Selector
from kratos.transport import http
from kratos.transport.http import Head
from kratos.transport.wheel import Wheel
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint, Gateway
from kratos_gateway.api.gateway_pb2 import Middleware as MiddlewareConfig
from kratos_gateway.backend import Client, ClientOptions, Connections, Redirects
from kratos_gateway.backend.connections import ConnectOptions
from kratos_gateway.backend.probing import Findings, Probes
from kratos_gateway.exchange import Handler, Middleware
from kratos_gateway.proxy.attempting import Attempting
from kratos_gateway.proxy.endpoint import Forwarder, Work
from kratos_gateway.proxy.fixed import Fixed, Itself, Redirect
from kratos_gateway.proxy.flights import Flights
from kratos_gateway.proxy.forwarding import Forwarding
from kratos_gateway.proxy.local import Local, local_of
from kratos_gateway.proxy.observing import NoMetrics, Recorders
from kratos_gateway.proxy.replay import ReplayMemory
from kratos_gateway.proxy.tally import Tallies, Tally
from kratos_gateway.proxy.tunnel import PARTING, Tunnel
from kratos_gateway.routing import ASTERISK, Conditions, Table, clean
from kratos_gateway.routing.order import in_order
from kratos_gateway.routing.share import Draw
from kratos_gateway.slices import in_slices

__all__ = ["DRAIN", "MiddlewareFactory", "Proxy"]

MiddlewareFactory: TypeAlias = Callable[[MiddlewareConfig], Middleware]
"""Makes what a configuration names; may raise ``ConfigError``."""

_log = logging.getLogger("kratos.gateway")

DRAIN: Final = 120.0

_PATIENCE: Final = 10.0  # seconds after which one that waits without a limit says so
RETRY_MEMORY: Final = 64 * 1024 * 1024


class Proxy:
    """Answers the requests of one configuration; made within the loop that serves it.

    An ``HttpApplication``. What it is made of is given back by ``aclose``, also if making it fails.

    Args:
        config: The configuration.
        middleware: Makes its middleware; ``None`` where there is none.
        discovery: Where services are looked up; ``None`` for nowhere.
        connect: How nodes are connected to.
        selector: Makes what picks among the nodes of an endpoint that have no weights.
        metrics: Makes the series of endpoints.
        tallies: Counts what requests came to, for people, which proxies may share; ``None`` to
            begin at nothing.
        findings: Which nodes are well, which proxies may share; ``None`` to begin at nothing.
        forwarding: What back ends are told of clients.
        strict_slash: Whether a path that fits but for a slash at its end is redirected.
        retry_enabled: Tells whether there are further attempts at all, whenever one would follow.
        retry_unsafe: Whether requests that are not idempotent have further attempts as well: an
            attempt that failed may have had its effect.
        retry_body: Bytes of a body that are kept for further attempts. A longer one has none.
        retry_memory: Where all that is kept has to have room, which proxies may share; ``None`` for
            64 MiB of its own.
        identity: Of this gateway, by which it uses other nodes than its like where an endpoint uses
            some of many.
        redirects: Which redirects of back ends are followed; ``None`` to pass them on to clients.
        draw: Chance, for endpoints that have a share of the requests.
        clock: Time for what is told of requests, and for the breakers of further attempts.
        whole: Whether its endpoints are made at once, which takes a second for some thousands;
            else by ``opened``, which lets others have their turn meanwhile.

    Raises:
        ConfigError: Something in the configuration is wrong; says where.
    """

    def __init__(
        self,
        config: Gateway,
        *,
        middleware: MiddlewareFactory | None = None,
        discovery: Discovery | None = None,
        connect: ConnectOptions | None = None,
        selector: Callable[[], Selector] = PowerOfTwoChoices,
        metrics: Recorders | None = None,
        tallies: Tallies | None = None,
        findings: Findings | None = None,
        forwarding: Forwarding | None = None,
        strict_slash: bool = False,
        retry_enabled: Callable[[], bool] = lambda: True,
        retry_unsafe: bool = True,
        retry_body: int = 1024 * 1024,
        retry_memory: ReplayMemory | None = None,
        identity: str = "",
        redirects: Redirects | None = None,
        draw: Draw = random.random,
        clock: Clock = SYSTEM_CLOCK,
        whole: bool = True,
    ) -> None:
        require_count("retry_body", retry_body, least=0)
        self.config = config
        self._factory = middleware
        self._metrics: Recorders = NoMetrics() if metrics is None else metrics
        self._tallies = Tallies() if tallies is None else tallies
        self._forwarding = forwarding or Forwarding()
        self._attempting = Attempting(enabled=retry_enabled, unsafe=retry_unsafe, clock=clock)
        self._retry_body = retry_body
        self._retry_memory = retry_memory or ReplayMemory(RETRY_MEMORY)
        self._clock = clock
        self._flights = Flights()
        self._wheel = Wheel()
        self._connections = Connections(connect, tls_store=config.tls_store)
        self._probes = Probes(clock=clock, findings=findings)
        self._client_options = ClientOptions(
            connections=self._connections,
            probes=self._probes,
            discovery=discovery,
            selector=selector,
            redirects=redirects,
            clock=clock,
            identity=identity,
        )
        self._draw = draw
        self._clients: list[Client | Local] = []
        self._forwarders: list[Forwarder] = []
        self._middleware: list[Middleware] = []
        self._table: Table[tuple[Forwarder, Tunnel | None]] = Table(
            strict_slash=strict_slash, scheme_of=self._forwarding.scheme
        )
        self._unknown = self._fixed(404, "404 page not found")
        self._other_method = self._fixed(405, "Method Not Allowed")
        self._bad = self._fixed(400, "Bad Request")
        self._redirect = Redirect()
        self._itself = Itself()
        if not whole:
            return
        try:
            for _ in self._steps():
                pass
        except BaseException:
            _dispose(self._give_back())
            raise

    @classmethod
    async def opened(
        cls,
        config: Gateway,
        *,
        resolve_timeout: float | None = None,
        making: Callable[[], AbstractContextManager[None]] = nullcontext,
        **options: Any,
    ) -> Proxy:
        """Return one that knows its nodes, or leave nothing open.

        The loop serves others while it is made, however many endpoints there are.

        Args:
            config: The configuration.
            resolve_timeout: Seconds for registries to tell a node of each service; ``None`` for no
                limit. What has no node then has requests answered 502 until it has one.
            making: What is entered while its endpoints are made.
            options: As of the class.

        Raises:
            ConfigError: Something in the configuration is wrong; says where.
        """
        proxy = cls(config, whole=False, **options)
        try:
            with making():
                await in_slices(proxy._steps())
            await proxy._resolved(resolve_timeout)
        except BaseException:
            await proxy.aclose(drain=0.0)
            raise
        return proxy

    @property
    def probes(self) -> Probes:
        """What asks its nodes whether they are well."""
        return self._probes

    @property
    def in_flight(self) -> int:
        """How many requests are under way, WebSockets among them."""
        return self._flights.count

    def route(self, head: Head, /) -> http.Endpoint:
        """Choose the endpoint of a request; see ``HttpApplication``."""
        try:
            path = clean(head.path)
        except Error:
            return self._itself if head.path == ASTERISK else self._bad
        head.params = (path.wire,)
        host = head.header(b"host").decode("latin-1")
        found = self._table.find(path.decoded, method=head.method, host=host, head=head)
        if found.value is None:
            return self._other_method if found.other_method else self._unknown
        if found.redirect:
            return self._redirect
        forwarder, tunnel = found.value
        if tunnel is not None and head.method == "GET" and _asks_for_websocket(head):
            return tunnel
        return forwarder

    def watched(self, service: str, /) -> Sequence[object] | None:
        """Return the instances that are known of a service, as JSON has them.

        ``None`` if no endpoint asks for it.
        """
        for client in self._clients:
            found = client.watched(service)
            if found is not None:
                return [each.to_mapping() for each in found]
        return None

    def appliers(self, service: str, /) -> Sequence[str] | None:
        """Return the paths of the endpoints that ask for a service; ``None`` if there is none."""
        paths = [
            endpoint.path
            for endpoint, client in zip(self.config.endpoints, self._clients, strict=True)
            if client.watched(service) is not None
        ]
        return paths or None

    def show(self) -> Sequence[Mapping[str, Any]]:
        """Return what is known of each endpoint, in their order, as JSON has it."""
        return [
            {
                "requests": forwarder.tally.requests,
                "failures": forwarder.tally.failures,
                "seconds": forwarder.tally.seconds,
                "nodes": client.show(),
            }
            for forwarder, client in zip(self._forwarders, self._clients, strict=True)
        ]

    async def _resolved(self, limit: float | None) -> None:
        """Wait for nodes of all services for some seconds, or as long as it takes."""
        patience = _PATIENCE if limit is None else limit
        try:
            async with asyncio.timeout(patience):
                await self.ready()
        except TimeoutError:
            lacking = {name for client in self._clients for name in client.lacking}
            _log.warning(
                "after %g s no usable instance is known of %s: %s; is the name right, is it "
                "registered with an endpoint of that protocol, and does the registry answer?",
                patience,
                ", ".join(sorted(lacking)),
                "nothing is served before there is one"
                if limit is None
                else "requests to it are answered 502 until there is one",
            )
            if limit is None:
                await self.ready()

    async def ready(self) -> None:
        """Wait until every service that is looked up has a node.

        Cancellation: safe.
        """
        for client in self._clients:
            await client.ready()

    async def aclose(self, *, drain: float = DRAIN) -> None:
        """Let requests under way end, then give everything back. Idempotent.

        Args:
            drain: Seconds for requests; the rest is cut off, and WebSockets are told so.

        Cancellation: cuts off at once.
        """
        try:
            await self._flights.landed(within=drain)
        finally:
            if self._flights.cut_off():
                await self._flights.landed(within=PARTING)
            await self._give_back()

    def _steps(self) -> Iterator[None]:
        """Make the endpoints, one a step."""
        shared = self._made(self.config.middlewares)
        tally_of = self._tallies.begin()
        for number, endpoint in enumerate(self.config.endpoints):
            with _located(number, endpoint):
                self._add(endpoint, shared, tally_of(endpoint))
            yield
        for number, endpoint in in_order(self.config.endpoints):
            with _located(number, endpoint):
                self._declare(endpoint, self._forwarders[number])
            yield

    def _add(self, endpoint: Endpoint, shared: Sequence[Middleware], tally: Tally) -> None:
        retry = self._attempting.retry(endpoint)
        recorder = self._metrics.endpoint(endpoint)
        client = local_of(endpoint) or Client(
            endpoint, self._client_options, redirected=recorder.redirected, records=tally.nodes
        )
        self._clients.append(client)
        handler: Handler = client
        for middleware in (*shared, *self._made(endpoint.middlewares))[::-1]:
            handler = middleware.wrap(handler, endpoint)
        forwarder = Forwarder(
            Work(
                endpoint=endpoint,
                handler=handler,
                retry=retry,
                hedge=self._attempting.hedge(endpoint, retry),
                forwarding=self._forwarding,
                recorder=recorder,
                flights=self._flights,
                tally=tally,
                clock=self._clock,
                wheel=self._wheel,
                keep=self._retry_body,
                memory=self._retry_memory,
                follow=self._client_options.redirects is not None,
            )
        )
        self._forwarders.append(forwarder)

    def _declare(self, endpoint: Endpoint, forwarder: Forwarder) -> None:
        tunnel = Tunnel(forwarder) if endpoint.protocol != GRPC and endpoint.backends else None
        self._table.add(
            endpoint.path,
            (forwarder, tunnel),
            method=endpoint.method,
            host=endpoint.host,
            conditions=Conditions.of(endpoint, draw=self._draw),
        )

    def _made(self, configs: Sequence[MiddlewareConfig]) -> Sequence[Middleware]:
        made: list[Middleware] = []
        for config in configs:
            if self._factory is None:
                raise ConfigError(f"middleware {config.name!r}: this gateway has no middleware")
            made.append(self._factory(config))
            self._middleware.append(made[-1])
        return made

    def _fixed(self, status: int, text: str) -> Fixed:
        return Fixed(status, text, self._metrics.nowhere(f"/{status}"), self._clock)

    async def _give_back(self) -> None:
        self._wheel.close()
        for client in self._clients:
            await client.aclose()
        await self._probes.aclose()
        await self._connections.aclose()
        for middleware in self._middleware:
            await middleware.aclose()


@contextmanager
def _located(number: int, endpoint: Endpoint) -> Generator[None]:
    """Tell of an error in which endpoint it is."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"endpoints[{number}] ({endpoint.path}): {error}") from error


_disposing: set[asyncio.Task[None]] = set()


def _dispose(work: Coroutine[Any, Any, None]) -> None:
    """Give back in the background what a configuration that is wrong has taken already."""
    task = asyncio.ensure_future(work)
    _disposing.add(task)
    task.add_done_callback(_disposing.discard)


def _asks_for_websocket(head: Head) -> bool:
    return any(name == b"upgrade" and b"websocket" in value.lower() for name, value in head.headers)
