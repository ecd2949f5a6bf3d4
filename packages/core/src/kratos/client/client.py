"""The client of every transport: one target, many nodes, one chain (Go: transport/*/client)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self, TypeVar

from google.protobuf.message import Message

from aegis.subset import DEFAULT_SIZE
from kratos.client._sharing import lease_instances, open_registry
from kratos.client._wiring import check_target, connector_factory, selector_of, wants_tls
from kratos.client.health import ActiveHealth, CheckedConnector
from kratos.client.pool import NodeStats, Pool
from kratos.client.resolver import ConstantResolver, DiscoveryResolver, Resolver
from kratos.client.target import Target
from kratos.errors import ConfigError
from kratos.metrics import Meter, NopMeter
from kratos.options import require_count, require_methods, require_number
from kratos.registry import Discovery
from kratos.selector import NO_NODES, Node, NodeFilter, NodeSet, Selector
from kratos.transport import (
    CallOptions,
    ChainCaller,
    Connector,
    Duplexed,
    Incoming,
    Messages,
    Method,
    Opening,
)
from kratos.transport.chain import listed
from kratos.transport.floor import checked_floors
from kratos.transport.naming import require_declared
from kratos.transport.wheel import time_limit

if TYPE_CHECKING:
    from kratos.middleware import AnyMiddleware

__all__ = ["Client"]

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

DEFAULT_TIMEOUT: Final = 2.0  # seconds, unary calls, as Go Kratos
DEFAULT_DRAIN: Final = 30.0  # seconds, for calls on a node that leaves

# What Go's clients say when there is no node for a call.
_NO_NODE_REASONS: Final = {"http": "NODE_NOT_FOUND"}
_NO_NODE_REASON: Final = "no_available_node"


class Client:
    """Calls a service over any transport; hand it to a generated client class.

        async with Client("discovery:///greeter", discovery=registry) as caller:
            greeter = GreeterClient(caller)

    Each call runs the middleware, then picks a node and runs on that node's connection; the
    way it ends feeds the selector. Making a client does no I/O. Entering it starts to follow
    the target and to connect, without waiting; ``ready`` waits. A client is entered once.

    Args:
        target: ``discovery:///name``, ``direct:///host:port,host:port``, ``host:port``,
            ``http://``, ``https://``, ``grpc://`` or ``grpcs://host:port``, ``unix:/path``.
        transport: ``http``, ``grpc`` or another installed transport's name, or a connector;
            ``None`` for what the target says, else ``http``.
        discovery: Where names are looked up: a registry, or its URL. Clients of equal URLs
            share one registry; the last of them closes it.
        middleware: The chain, outermost first.
        timeout: Seconds for a unary call; ``None`` or not positive for no limit. Streams have
            none unless a call's options say so.
        floors: Seconds that operations take at least, by name: a call that has less left fails
            at once, with 504 ``BUDGET_TOO_SMALL``, and is not sent.
        filters: Node filters of every call, run in order before the pick.
        version: Use only instances of this version; empty for all.
        selector: Name of an installed strategy (``wrr``, ``p2c``, ``least``, ``hash``,
            ``random``), or one made for this client alone.
        subset: Nodes of a service that this client uses at most; 0 for all.
        subset_key: Which of them: a text that names this client, for the same ones after each
            start; or its number from 0 on among the clients, such as a pod's ordinal, which loads
            all nodes alike. ``None`` for others after each start, as Go.
        tls: TLS configuration as the transport takes it, or ``True`` for trusted defaults:
            nodes are reached with TLS, and of a service its secure endpoints are used.
        on_empty: What an empty list from the registry does: ``keep`` the last nodes, or
            ``apply`` it, so that calls fail at once.
        fail_fast: Whether calls fail rather than wait when no node is ready; ``None`` to wait where
            a registry may bring another, and to fail where the target names the nodes and none can
            be connected to, as gRPC does.
        health: How to ask nodes for their health; ``None`` to learn it from calls alone.
        drain: Seconds that calls in flight get when their node leaves.
        meter: Makes ``client_nodes``, the nodes in use by target, and ``client_nodes_stale``,
            1 while they may be out of date.

    Raises:
        TargetError: The target is malformed, or contradicts another argument.
        ConfigError: An option has no such value, or the middleware was told a method that its
            service has not.
        PluginNotFound: The transport or the selector is not installed; says what to install.
    """

    def __init__(
        self,
        target: str,
        *,
        transport: str | Connector | None = None,
        discovery: Discovery | str | None = None,
        middleware: Sequence[AnyMiddleware] = (),
        timeout: float | None = DEFAULT_TIMEOUT,
        floors: Mapping[str, float] | None = None,
        filters: Sequence[NodeFilter] = (),
        version: str = "",
        selector: str | Selector = "wrr",
        subset: int = DEFAULT_SIZE,
        subset_key: str | int | None = None,
        tls: object | None = None,
        on_empty: Literal["keep", "apply"] = "keep",
        fail_fast: bool | None = None,
        health: ActiveHealth | None = None,
        drain: float = DEFAULT_DRAIN,
        meter: Meter | None = None,
    ) -> None:
        if on_empty not in ("keep", "apply"):
            raise ConfigError(f"on_empty is 'keep' or 'apply', not {on_empty!r}")
        if isinstance(subset_key, int) and subset_key < 0:
            raise ConfigError(f"subset_key={subset_key}: clients count from 0")
        if health is not None and not isinstance(health, ActiveHealth):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"health must be an ActiveHealth(check=...), not {health!r}")
        require_number("drain", drain, least=0)
        require_count("subset", subset, least=0)
        require_methods("meter", meter, "a meter", "counter", "gauge", "histogram")
        self._middleware = listed(middleware)
        self._floors = checked_floors(floors)
        require_declared(self._middleware, floors=self._floors)
        self._target = Target.parse(target)
        check_target(self._target, discovery=discovery, tls=tls)
        self._new_connector = connector_factory(transport, self._target, tls)
        self._selector = selector_of(selector)
        self._secure = self._target.secure or wants_tls(tls)
        self._discovery = discovery
        self._timeout = time_limit(timeout)
        self._filters = listed(filters, option="filters")
        self._version = version
        self._subset = subset
        self._subset_key = str(uuid.uuid4()) if subset_key is None else subset_key
        self._keep = on_empty == "keep"
        # Whoever waits for a registry waits for nodes that nobody knows yet.
        self._fail_fast = False if fail_fast is None and self._target.service else fail_fast
        self._health = health
        self._drain = drain
        self._gauges = _Gauges(NopMeter() if meter is None else meter, self.target)
        self._caller: ChainCaller | None = None
        self._pool: Pool | None = None
        self._resolver: Resolver | None = None
        self._stack = AsyncExitStack()
        self._entered = False

    @property
    def target(self) -> str:
        """What the client was pointed at."""
        return self._target.text

    @property
    def nodes(self) -> NodeSet:
        """The nodes in force; empty before the client is entered."""
        return NO_NODES if self._resolver is None else self._resolver.current

    def stats(self) -> tuple[NodeStats, ...]:
        """Return what is known of each node; empty while the client is not open."""
        return () if self._pool is None else self._pool.stats()

    async def ready(self) -> None:
        """Return when a node is ready; set a limit around it.

        Raises:
            RuntimeError: The client is not open.
            Error: The client was closed meanwhile.

        Cancellation: safe.
        """
        self._open()
        assert self._pool is not None, "an open client has a pool"
        await self._pool.ready()

    async def unary(self, m: Method[Q, R], request: Q, o: CallOptions | None = None, /) -> R:
        """Call a method with one request and one reply; see ``Caller``.

        Raises:
            RuntimeError: The client is not open.
        """
        return await self._open().unary(m, request, o)

    async def client_stream(
        self, m: Method[Q, R], requests: Messages[Q], o: CallOptions | None = None, /
    ) -> R:
        """Call a method with many requests and one reply; see ``Caller``.

        Raises:
            RuntimeError: The client is not open.
        """
        return await self._open().client_stream(m, requests, o)

    def server_stream(
        self, m: Method[Q, R], request: Q, o: CallOptions | None = None, /
    ) -> Opening[Incoming[R]]:
        """Open a method with one request and many replies; see ``Caller``.

        Raises:
            RuntimeError: The client is not open.
        """
        return self._open().server_stream(m, request, o)

    def bidi_stream(
        self, m: Method[Q, R], o: CallOptions | None = None, /
    ) -> Opening[Duplexed[Q, R]]:
        """Open a method with many requests and many replies; see ``Caller``.

        Raises:
            RuntimeError: The client is not open.
        """
        return self._open().bidi_stream(m, o)

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError(f"the client of {self.target} was entered already; make a new one")
        self._entered = True
        async with AsyncExitStack() as stack:
            connector = self._new_connector()
            if self._health is not None:
                connector = CheckedConnector(connector, self._health)
            resolver = self._resolve(connector.scheme, stack)
            pool = Pool(
                connector,
                self._selector,
                target=self.target,
                filters=self._filters,
                fail_fast=self._fail_fast,
                drain=self._drain,
                reason=_NO_NODE_REASONS.get(connector.scheme, _NO_NODE_REASON),
            )
            stack.push_async_callback(pool.aclose)
            stack.callback(resolver.subscribe(pool.apply))
            stack.callback(resolver.subscribe(self._gauges.show))
            self._caller = ChainCaller(
                pool.invoke,
                transport=getattr(connector, "transport", connector.scheme),
                endpoint=self.target,
                middleware=self._middleware,
                timeout=self._timeout,
                floors=self._floors,
            )
            self._resolver, self._pool = resolver, pool
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, then close every connection and stop following the target.

        Idempotent; leaves no task behind.

        Args:
            drain: Seconds for calls in flight; what is left then fails with 503.

        Cancellation: cuts calls in flight off, and takes effect when everything is closed.
        """
        self._entered = True
        self._caller = None
        pool, self._pool = self._pool, None
        stack, self._stack = self._stack, AsyncExitStack()
        if pool is None:
            return
        try:
            async with stack:
                await pool.aclose(drain=drain)
        finally:
            self._gauges.show(NO_NODES)

    def _open(self) -> ChainCaller:
        caller = self._caller
        if caller is None:
            state = "is closed" if self._entered else "was not entered: use async with"
            raise RuntimeError(f"the client of {self.target} {state}")
        return caller

    def _resolve(self, scheme: str, stack: AsyncExitStack) -> Resolver:
        """Start to follow the target; ``stack`` takes what is to be closed."""
        if not self._target.service:
            return ConstantResolver(
                [
                    Node(scheme=scheme, address=address, secure=self._secure)
                    for address in self._target.addresses
                ]
            )
        discovery = self._discovery
        if isinstance(discovery, str):
            discovery = open_registry(discovery, stack)
        assert discovery is not None, "checked when the client was made"
        resolver = DiscoveryResolver(
            lease_instances(discovery, self._target.service),
            service=self._target.service,
            scheme=scheme,
            secure=self._secure,
            version=self._version,
            size=self._subset,
            key=self._subset_key,
            keep=self._keep,
        )
        stack.push_async_callback(resolver.aclose)
        return resolver


class _Gauges:
    """The nodes of one client as metrics."""

    __slots__ = ("_nodes", "_stale")

    def __init__(self, meter: Meter, target: str) -> None:
        labels = ("target",)
        # Each worker has the same registry before its eyes.
        nodes = meter.gauge(
            "client_nodes", description="Nodes in use.", labels=labels, across="max"
        )
        stale = meter.gauge(
            "client_nodes_stale",
            description="Whether the nodes may be out of date.",
            labels=labels,
            across="max",
        )
        self._nodes = nodes.labels(target)
        self._stale = stale.labels(target)

    def show(self, nodes: NodeSet) -> None:
        self._nodes.set(len(nodes.nodes))
        self._stale.set(float(nodes.stale_since is not None))
