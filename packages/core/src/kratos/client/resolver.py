"""From a target to the nodes behind it, as they change (Go: resolver)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias

from aegis.rounds import RoundSubsetter
from aegis.subset import subset
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.registry import ServiceInstance
from kratos.registry.endpoint import endpoint_scheme, find_endpoint
from kratos.selector import NO_NODES, Node, NodeSet
from kratos.watch import Lease

__all__ = ["ConstantResolver", "DiscoveryResolver", "NodeListener", "Resolver"]

NodeListener: TypeAlias = Callable[[NodeSet], None]

_log = logging.getLogger("kratos.client")


class Resolver(Protocol):
    """Keeps the set of nodes behind a target."""

    @property
    def current(self) -> NodeSet:
        """The set in force; of revision 0 before the first answer."""
        ...

    async def first(self) -> NodeSet:
        """Return the set in force, waiting for one that has a node.

        Cancellation: safe.
        """
        ...

    def subscribe(self, listener: NodeListener, /) -> Callable[[], None]:
        """Call ``listener`` with the set in force, if there is one, and with each later one.

        Returns:
            The way to stop listening; calling it again does nothing.
        """
        ...

    async def aclose(self) -> None:
        """Stop following the target; idempotent."""
        ...


class ConstantResolver:
    """Nodes that never change: of ``direct:``, ``host:port`` and ``unix:`` targets."""

    __slots__ = ("_current",)

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._current = NodeSet(nodes=tuple(nodes), revision=1)

    @property
    def current(self) -> NodeSet:
        """The set."""
        return self._current

    async def first(self) -> NodeSet:
        """Return the set."""
        return self._current

    def subscribe(self, listener: NodeListener, /) -> Callable[[], None]:
        """Call ``listener`` with the set, once."""
        listener(self._current)
        return _nothing

    async def aclose(self) -> None:
        """Do nothing: nothing is followed."""


class DiscoveryResolver:
    """Nodes of a service, as a registry tells them.

    A list without a usable node does not replace one that has some: the good set stays, marked
    stale, because an empty list is more often a registry that lost its data than a service
    that lost its last instance.

    Args:
        lease: The instances, shared with whoever else watches them.
        service: Name of the service, for logs.
        scheme: Wanted endpoint scheme without TLS.
        secure: Whether the endpoints have to speak TLS.
        version: Version that instances must have; empty for any.
        size: Nodes that this client uses at most; 0 or less for all.
        key: Identity of this client: decides which nodes it uses. A text takes a place on a ring,
            as in Go; a number from 0 on, one for each client, loads all nodes alike.
        keep: Whether an empty list leaves the good set in force.
        quiet: Whether its log is left to another resolver of the same nodes.
        clock: Time for ``NodeSet.stale_since``.
    """

    def __init__(
        self,
        lease: Lease[Sequence[ServiceInstance]],
        *,
        service: str,
        scheme: str,
        secure: bool,
        version: str = "",
        size: int,
        key: str | int,
        keep: bool = True,
        quiet: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._lease = lease
        self._service = service
        self._scheme = scheme
        self._secure = secure
        self._version = version
        self._size = size
        self._key = key
        self._keep = keep
        self._warning = logging.DEBUG if quiet else logging.WARNING
        self._info = logging.DEBUG if quiet else logging.INFO
        self._clock = clock
        self._current = NO_NODES
        self._unusable_since: float | None = None
        self._listeners: dict[object, NodeListener] = {}
        self._usable = asyncio.Event()
        self._unsubscribe = lease.feed.subscribe(self._take, on_stale=self._mark)
        self._mark(lease.feed.stale_since)

    @property
    def current(self) -> NodeSet:
        """The set in force; of revision 0 before the registry's first answer."""
        return self._current

    async def first(self) -> NodeSet:
        """Return the set in force, waiting for one that has a node.

        Cancellation: safe.
        """
        while not self._current.nodes:
            await self._usable.wait()
        return self._current

    def subscribe(self, listener: NodeListener, /) -> Callable[[], None]:
        """Call ``listener`` with the set in force, if there is one, and with each later one."""
        key = object()
        self._listeners[key] = listener
        if self._current is not NO_NODES:
            listener(self._current)

        def unsubscribe() -> None:
            self._listeners.pop(key, None)

        return unsubscribe

    async def aclose(self) -> None:
        """Stop following the service; the last user of the watch ends it. Idempotent."""
        self._unsubscribe()
        self._listeners.clear()
        await self._lease.aclose()

    def _take(self, instances: Sequence[ServiceInstance]) -> None:
        nodes = self._nodes_of(instances)
        current = self._current
        if not nodes and current.nodes and self._keep:
            if self._unusable_since is None:
                self._unusable_since = self._clock.time()
                _log.log(
                    self._warning,
                    "%s: no usable instance is listed, the last good list (%d) stays in use: %s",
                    self._service,
                    len(current.nodes),
                    self._why_none(instances),
                )
            self._mark(self._lease.feed.stale_since)
            return
        if not nodes:
            _log.log(self._warning, "%s has no node: %s", self._service, self._why_none(instances))
        elif self._unusable_since is not None:
            _log.log(self._info, "%s: usable instances are listed again", self._service)
        self._unusable_since = None
        if nodes != current.nodes or current.revision == 0:
            current = NodeSet(nodes=nodes, revision=current.revision + 1)
        self._publish(replace(current, stale_since=self._lease.feed.stale_since))

    def _mark(self, feed_stale_since: float | None) -> None:
        """Publish since when the set may be out of date."""
        since = [each for each in (feed_stale_since, self._unusable_since) if each is not None]
        self._publish(replace(self._current, stale_since=min(since, default=None)))

    def _publish(self, nodes: NodeSet) -> None:
        if nodes == self._current:
            return
        self._current = nodes
        if nodes.nodes:
            self._usable.set()
        else:
            self._usable.clear()
        for listener in tuple(self._listeners.values()):
            listener(nodes)

    def _nodes_of(self, instances: Sequence[ServiceInstance]) -> tuple[Node, ...]:
        """Endpoint, duplicates, version, subset: in this order."""
        nodes: dict[str, Node] = {}
        for instance in instances:
            if self._version and instance.version != self._version:
                continue
            address = find_endpoint(instance.endpoints, self._scheme, secure=self._secure)
            if address is not None and address not in nodes:
                nodes[address] = Node.of(
                    instance, scheme=self._scheme, address=address, secure=self._secure
                )
        return tuple(self._subset(tuple(nodes.values())))

    def _subset(self, nodes: Sequence[Node]) -> Sequence[Node]:
        if isinstance(self._key, int):
            return RoundSubsetter(nodes, text=_identity).pick(self._key, size=self._size)
        return subset(self._key, nodes, size=self._size, text=_identity)

    def _why_none(self, instances: Sequence[ServiceInstance]) -> str:
        if not instances:
            return "the registry lists no instance"
        wanted = f"{endpoint_scheme(self._scheme, secure=self._secure)}://"
        version = f" of version {self._version}" if self._version else ""
        return f"of {len(instances)} instances none{version} has an endpoint {wanted}"


def _identity(node: Node) -> str:
    """Return the text by which Go chooses subsets: that of the instance."""
    return f"{node.name}-{node.id}"


def _nothing() -> None:
    """Unsubscribe from what never changes."""
