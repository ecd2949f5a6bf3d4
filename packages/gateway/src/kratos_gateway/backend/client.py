"""What sends the requests of one endpoint to its nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from kratos.client.resolver import DiscoveryResolver
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.registry import Discovery, ServiceInstance
from kratos.selector import Node, NodeSet, Outcome, Pick, PowerOfTwoChoices, Selector
from kratos.selector import WeightedRoundRobin as ByWeight
from kratos.watch import Lease
from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint
from kratos_gateway.backend._unreachable import Unreachable
from kratos_gateway.backend.balancing import balance_of
from kratos_gateway.backend.connections import Connections, NodeConnection, Place, node_place
from kratos_gateway.backend.following import REDIRECTS, Following
from kratos_gateway.backend.probing import ProbePlan, Probes
from kratos_gateway.backend.record import NodeRecord, NodeRecords
from kratos_gateway.backend.redirects import Redirects
from kratos_gateway.backend.shares import chosen, weighted
from kratos_gateway.backend.targets import BackendTarget, scheme_of, target_of
from kratos_gateway.backend.watches import lease_instances
from kratos_gateway.backend.websocket import WEBSOCKET, Upgraded, open_socket
from kratos_gateway.exchange import Answer, Body, NodeFilter, Request
from kratos_http.carrier import TooLarge

__all__ = ["Client", "ClientOptions"]

_log = logging.getLogger("kratos.gateway")

_HOST: Final = "host"
_MOST_NODES: Final = 3  # that one attempt tries to connect to


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """What the clients of all endpoints have in common.

    Attributes:
        connections: To nodes.
        probes: Asks nodes whether they are well.
        discovery: Where services are looked up; ``None`` for nowhere.
        selector: Makes what picks among nodes without weights.
        redirects: Which redirects of nodes are followed; ``None`` to pass them on.
        clock: Time for what is told of attempts.
        identity: Of this gateway, by which it uses other nodes of many than its like do.
        told: Services, schemes and TLS that a client tells the log of: hundreds of endpoints may
            have one service, and one line says it.
    """

    connections: Connections = field(default_factory=Connections)
    probes: Probes = field(default_factory=Probes)
    discovery: Discovery | None = None
    selector: Callable[[], Selector] = PowerOfTwoChoices
    redirects: Redirects | None = None
    clock: Clock = SYSTEM_CLOCK
    identity: str = ""
    told: set[tuple[str, str, bool]] = field(default_factory=set[tuple[str, str, bool]])


def _nothing() -> None:
    """Count nothing."""


class Client:
    """The innermost handler of an endpoint: picks a node for each attempt, and asks it.

    Nodes are picked as the endpoint's ``balancer`` says; without one by ``selector``, or, where any
    has a weight, in turn by weights. Those that earlier attempts of a request were sent to are
    avoided.

    Args:
        endpoint: The endpoint.
        options: See there.
        redirected: Called for each answer of a node that leads elsewhere.
        records: Where attempts at nodes are counted; ``None`` to begin at nothing.

    Raises:
        ConfigError: It has no back end, or one that is none, or its balancer is none; names it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: ClientOptions,
        *,
        redirected: Callable[[], None] = _nothing,
        records: NodeRecords | None = None,
    ) -> None:
        self._options = options
        self._connections = options.connections
        self._http2 = endpoint.protocol == GRPC
        self._following = Following(
            redirects=None if self._http2 else options.redirects,
            connections=options.connections,
            count=redirected,
        )
        self._scheme = scheme_of(endpoint)
        self._targets = _targets(endpoint, self._scheme, options)
        self._balance = balance_of(endpoint, default=options.selector, clock=options.clock)
        self._selector: Selector = self._balance.selector or options.selector()
        self._by_weight = ByWeight()
        self._weighted = False
        self._resolvers: dict[str, DiscoveryResolver] = {}
        self._leases: dict[str, Lease[Sequence[ServiceInstance]]] = {}
        self._nodes: dict[str, tuple[Place, NodeConnection]] = {}
        self._shared_records = NodeRecords() if records is None else records
        self._records: Mapping[str, NodeRecord] = {}
        self._plans: dict[str, ProbePlan] = {}
        self._known: dict[str, Node] = {}
        self._owners: dict[str, BackendTarget] = {}
        for target in self._targets:
            if target.service and target.service not in self._resolvers:
                self._follow(target)
        self._apply()

    @property
    def nodes(self) -> Sequence[str]:
        """Addresses of the nodes there are."""
        return tuple(self._nodes)

    @property
    def lacking(self) -> Sequence[str]:
        """Services of which no usable instance is known, with the labels that it has to have."""
        found = (str(each) for each in self._targets if each.service and not self._listed(each))
        return list(dict.fromkeys(found))

    def watched(self, service: str) -> Sequence[ServiceInstance] | None:
        """Return the instances that a registry has told of a service.

        ``None`` if it is none of the endpoint's.
        """
        lease = self._leases.get(service)
        return None if lease is None else lease.feed.current or ()

    def show(self) -> Sequence[Mapping[str, Any]]:
        """Return what is known of each node, as JSON has it."""
        return [
            {
                "address": address,
                "connections": connection.open,
                "busy": connection.busy,
                "well": self._is_well(address),
                **asdict(self._records[address]),
            }
            for address, (_place, connection) in self._nodes.items()
        ]

    async def ready(self) -> None:
        """Wait until the registry has told a node of each service.

        Cancellation: safe.
        """
        for resolver in self._resolvers.values():
            await resolver.first()

    async def __call__(self, request: Request) -> Answer:
        """Send an attempt; see ``Handler``.

        A node that cannot be connected to has got nothing, so that others are asked in its place.
        """
        tried = request.options.backends
        already = len(tried)
        while True:
            try:
                return await self._ask(request)
            except Unreachable:
                others = len(self._nodes) - len(set(tried))
                if others <= 0 or len(tried) - already in (0, _MOST_NODES):
                    raise

    async def _ask(self, request: Request) -> Answer:
        options = request.options
        pick = self._pick(request)
        node = options.current_node = pick.node
        options.backends.append(node.address)
        record = self._records[node.address]
        record.attempts += 1
        clock = self._options.clock
        began = clock.time()
        status = 0
        try:
            answer = await self._send(node, request)
            status = answer.status
        except asyncio.CancelledError:
            # Of a client that went away, or that is late itself, nothing follows.
            late = options.is_late() and not options.is_uploading()
            pick.done(Outcome.failure(TimeoutError()) if late else Outcome.CANCELLED)
            raise
        except Exception as error:
            if isinstance(error, (OSError, TooLarge)):
                record.fail(str(error) or type(error).__name__, clock.wall())
                pick.done(Outcome.failure(error))
            else:
                pick.done(Outcome.CANCELLED)
            raise
        finally:
            options.upstream_status_code.append(status)
            options.upstream_response_time.append(clock.time() - began)
        outcome = self._balance.outcome(answer)
        if isinstance(answer.body, (bytes, Upgraded)):
            pick.done(outcome)
        else:
            answer.body = _Reported(answer.body, pick, outcome)
        return answer

    async def aclose(self) -> None:
        """Give back connections and watches. Idempotent."""
        for resolver in self._resolvers.values():
            await resolver.aclose()
        self._resolvers.clear()
        self._leases.clear()
        nodes, self._nodes = self._nodes, {}
        plans, self._plans = self._plans, {}
        self._give_back(nodes, plans)

    async def _send(self, node: Node, request: Request) -> Answer:
        place, connection = self._nodes[node.address]
        host = node.metadata.get(_HOST) or request.host or node.address
        if WEBSOCKET in request.options.values:
            dialer = self._connections.dialer(place)
            answer = await open_socket(dialer, request, host, self._connections.options)
            request.options.values[WEBSOCKET] = answer.body
            return answer
        answer = await connection.send(request, host)
        if answer.status in REDIRECTS:
            return await self._following.follow(answer, request, host, self._nodes)
        return answer

    def _pick(self, request: Request) -> Pick:
        options = request.options
        selector = self._by_weight if self._weighted else self._selector
        call = self._balance.call(request)
        try:
            if not options.filters and not options.backends:
                return selector.select(call)
            filters = [_as_selector_has_it(each) for each in options.filters]
            return selector.select(call, filters=filters, avoid=options.backends)
        except Error as error:
            lacking = ", ".join(self.lacking)
            of = f" of {lacking}, as far as the registry has told" if lacking else ""
            raise Unreachable((error.message or "there is no node") + of) from error

    def _follow(self, target: BackendTarget) -> None:
        discovery = self._options.discovery
        assert discovery is not None, "checked before"
        lease = self._leases[target.service] = lease_instances(discovery, target.service)
        place = (target.service, self._scheme, target.secure)
        quiet = place in self._options.told
        self._options.told.add(place)
        resolver = DiscoveryResolver(
            lease,
            service=target.service,
            scheme=self._scheme,
            secure=target.secure,
            size=0,
            key="",
            quiet=quiet,
            clock=self._options.clock,
        )
        self._resolvers[target.service] = resolver
        resolver.subscribe(self._changed)

    def _changed(self, _nodes: NodeSet) -> None:
        self._apply()

    def _apply(self) -> None:
        """Take over the nodes that there are now."""
        nodes: dict[str, Node] = {}
        places: dict[str, Place] = {}
        plans: dict[str, ProbePlan] = {}
        owners: dict[str, BackendTarget] = {}
        for target in self._targets:
            for node in self._listed(target):
                if node.address not in nodes:
                    nodes[node.address] = node
                    owners[node.address] = target
                    places[node.address] = node_place(
                        node,
                        tls=target.tls,
                        http2=self._http2 or target.http2,
                        negotiated=not self._http2 and target.http2,
                    )
                    if target.probe is not None:
                        plans[node.address] = target.probe
        old, self._nodes = self._nodes, {}
        old_plans, self._plans = self._plans, plans
        for address, place in places.items():
            connection = self._connections.take(place)
            self._nodes[address] = (place, connection)
            if address in plans:
                self._options.probes.take(place, plans[address], connection, self._offer)
        self._give_back(old, old_plans)
        self._records = self._shared_records.take(nodes, self._records)
        self._known, self._owners = nodes, owners
        self._offer()

    def _listed(self, target: BackendTarget) -> Sequence[Node]:
        resolver = self._resolvers.get(target.service)
        if resolver is None:
            return target.nodes
        return chosen(target, resolver.current.nodes, identity=self._options.identity)

    def _offer(self) -> None:
        """Let nodes that are well be picked; all of them where none is: some may be after all."""
        nodes = self._known.values()
        listed = [node for node in nodes if self._is_well(node.address)] or list(nodes)
        filled = weighted(listed, self._owners)
        has_weights = any(node.weight is not None for node in filled)
        self._weighted = has_weights and self._balance.selector is None
        self._selector.apply(filled if self._balance.selector else listed)
        self._by_weight.apply(filled)

    def _is_well(self, address: str) -> bool:
        plan = self._plans.get(address)
        return plan is None or self._options.probes.is_well(self._nodes[address][0], plan)

    def _give_back(
        self,
        nodes: Mapping[str, tuple[Place, NodeConnection]],
        plans: Mapping[str, ProbePlan],
    ) -> None:
        for address, (place, _) in nodes.items():
            if address in plans:
                self._options.probes.give_back(place, plans[address], self._offer)
            self._connections.give_back(place)


class _Reported:
    """A ``Body`` whose end, good or bad, is told to what picked its node."""

    __slots__ = ("_body", "_outcome", "_pick")

    def __init__(self, body: Body, pick: Pick, outcome: Outcome) -> None:
        self._body = body
        self._outcome = outcome
        self._pick: Pick | None = pick

    @property
    def trailers(self) -> Any:
        return self._body.trailers

    async def read(self) -> bytes:
        try:
            piece = await self._body.read()
        except OSError as error:
            self._tell(Outcome.failure(error))
            raise
        if not piece:
            self._tell(self._outcome)
        return piece

    def close(self) -> None:
        self._tell(Outcome.CANCELLED)
        self._body.close()

    def _tell(self, outcome: Outcome) -> None:
        pick, self._pick = self._pick, None
        if pick is not None:
            pick.done(outcome)


def _targets(endpoint: Endpoint, scheme: str, options: ClientOptions) -> Sequence[BackendTarget]:
    if not endpoint.backends:
        raise ConfigError("there is no back end: name one in backends")
    targets: list[BackendTarget] = []
    for backend in endpoint.backends:
        target = target_of(backend, scheme=scheme)
        if target.service and options.discovery is None:
            raise ConfigError(
                f"back end discovery:///{target.service} needs a registry: "
                "give the gateway one, by -discovery.dsn"
            )
        if target.tls and not options.connections.knows(target.tls):
            _log.warning("there is no %r in tls_store: the system's roots are used", target.tls)
            target = replace(target, tls="")
        targets.append(target)
    return targets


def _as_selector_has_it(node_filter: NodeFilter) -> Any:
    def chosen(_call: object, nodes: Sequence[Node]) -> Sequence[Node]:
        return node_filter(nodes)

    return chosen
