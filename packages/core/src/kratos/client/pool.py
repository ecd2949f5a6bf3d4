"""The connections of a client: one per node, a pick among them per call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final

from kratos.client._link import Link, reason_of
from kratos.client._verdict import ran_out_of_time, verdict
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import Error
from kratos.limit import cancel_and_wait, describe
from kratos.selector import (
    NO_NODES,
    Node,
    NodeFilter,
    NodeSet,
    Outcome,
    Pick,
    Selector,
    no_available_node,
)
from kratos.selector._candidates import narrow
from kratos.transport import Call, Connector

__all__ = ["NodeStats", "Pool"]

_REASONS: Final = 3  # nodes named in the cause of an error

_log = logging.getLogger("kratos.client")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats:
    """What a client knows of one node.

    Attributes:
        node: The node.
        ready: Whether calls can be sent to it now.
        in_flight: Calls under way.
        calls: Calls that have ended, since the node was listed.
        failures: How many of them the node failed.
    """

    node: Node
    ready: bool
    in_flight: int
    calls: int
    failures: int


class Pool:
    """Holds a connection to each node of a set, and sends each call to one of them.

    A connection is made when its node is listed, kept ready from then on, and drained and
    closed when the node leaves. Only ready nodes are picked while there is one; else calls
    wait for the first that becomes ready.

    Args:
        connector: Makes connections.
        selector: Picks; of this pool alone.
        target: What the client was pointed at, for logs and errors.
        filters: Node filters of every call.
        fail_fast: Whether calls fail rather than wait when no node is ready. ``None``: they do when
            an attempt to connect, made for them, has failed at each node.
        drain: Seconds that calls in flight get when their node leaves.
        reason: Reason of the 503 that a call gets when there is no node for it.
        clock: Time for back-off.
    """

    def __init__(
        self,
        connector: Connector,
        selector: Selector,
        *,
        target: str,
        filters: Sequence[NodeFilter] = (),
        fail_fast: bool | None = False,
        drain: float = 0.0,
        reason: str = "no_available_node",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._connector = connector
        self._selector = selector
        self._target = target
        self._filters = tuple(filters)
        self._fail_fast = fail_fast
        self._drain = drain
        self._reason = reason
        self._clock = clock
        self._nodes = NO_NODES
        self._by_address: dict[str, Node] = {}
        self._links: dict[str, Link] = {}
        self._unready: set[str] = set()
        self._leaving: dict[asyncio.Task[None], Link] = {}
        self._waiters: set[asyncio.Future[bool]] = set()
        self._closed = False

    def apply(self, nodes: NodeSet, /) -> None:
        """Take over a set of nodes: connect to new ones, take leave of those that are gone."""
        if self._closed:
            return
        if nodes.nodes != self._nodes.nodes:
            self._by_address = {node.address: node for node in nodes.nodes}
            self._relink(self._by_address)
            self._selector.apply(nodes.nodes)
        self._nodes = nodes
        self._wake()

    async def invoke(self, call: Call, request: Any, /) -> Any:
        """Carry one call on a node of its choice: the innermost handler of a client.

        Raises:
            Error: What the service answered; 503 when there is no node; 504 when none was
                ready before the deadline.

        Cancellation: cancels the call at the peer.
        """
        try:
            chosen = self._choose(call)
        except Error:
            # Who calls again at once must not keep the loop from learning of a node.
            await asyncio.sleep(0)
            raise
        pick, link = await self._wait(call) if chosen is None else chosen
        call.peer = pick.node.address
        link.begin()
        outcome = Outcome.CANCELLED
        try:
            reply = await link.connection.invoke(call, request)
            outcome = Outcome.SUCCESS
        except BaseException as error:
            outcome = verdict(call, error)
            raise
        finally:
            link.end(outcome)
            pick.done(outcome)
        return reply

    async def ready(self) -> None:
        """Return when a node is ready.

        Raises:
            Error: The pool was closed meanwhile.

        Cancellation: safe.
        """
        while True:
            self._require_open()
            for link in self._links.values():
                if link.connection.ready:
                    return
                self._lose(link)
            await self._progress(None)

    def stats(self) -> tuple[NodeStats, ...]:
        """Return what is known of each node."""
        return tuple(
            NodeStats(
                node=node,
                ready=link.connection.ready,
                in_flight=link.in_flight,
                calls=link.calls,
                failures=link.failures,
            )
            for node in self._nodes.nodes
            if (link := self._links.get(node.address)) is not None
        )

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls and close all connections; idempotent.

        Args:
            drain: Seconds for calls in flight, those on nodes that have left included.

        Cancellation: cuts the calls in flight off, and lets the cancellation pass when the
        connections are closed.
        """
        self._closed = True
        self._wake()
        links = [*self._links.values(), *self._leaving.values()]
        self._links.clear()
        try:
            await cancel_and_wait(*self._leaving)
            await self._close(links, drain=drain)
        except asyncio.CancelledError:
            await self._close(links, drain=0.0)
            raise

    def _relink(self, nodes: Mapping[str, Node]) -> None:
        """Bring the connections in line with the nodes."""
        added = [
            Link(
                self._connector.connect(node),
                target=self._target,
                clock=self._clock,
                progress=self._follow,
            )
            for address, node in nodes.items()
            if address not in self._links
        ]
        for address in [address for address in self._links if address not in nodes]:
            self._unready.discard(address)
            self._leave(self._links.pop(address))
        for link in added:
            self._links[link.address] = link
            if not link.connection.ready:
                self._lose(link)

    def _leave(self, link: Link) -> None:
        leaving = asyncio.create_task(
            self._close([link], drain=self._drain),
            name=f"kratos drain {link.address}",
            context=Context(),
        )
        self._leaving[leaving] = link
        leaving.add_done_callback(self._leaving.pop)

    async def _close(self, links: Sequence[Link], *, drain: float) -> None:
        closing = [asyncio.create_task(link.aclose(drain=drain)) for link in links]
        if not closing:
            return
        try:
            await asyncio.wait(closing)
        except asyncio.CancelledError:
            await cancel_and_wait(*closing)
            raise
        for link, task in zip(links, closing, strict=True):
            error = None if task.cancelled() else task.exception()
            if error is not None:
                _log.error("%s: closing %s failed: %s", self._target, link.address, describe(error))

    def _choose(self, call: Call, since: float | None = None) -> tuple[Pick, Link] | None:
        """Pick a ready node; ``None`` when the call has to wait for one.

        Args:
            call: The call.
            since: When it began to wait, by the clock; ``None`` unless it does.

        Raises:
            Error: 503: there is no node for the call, or none is ready and it does not wait.
        """
        self._require_open()
        filters, avoid, fail_fast = self._filters, (), self._fail_fast
        options = call.options
        if options is not None:
            if options.filters:
                filters = (*filters, *options.filters)
            avoid = options.avoid
            if options.fail_fast is not None:
                fail_fast = options.fail_fast
        # A filter looks at all nodes. While most are ready it costs less to pick once more.
        narrowed = bool(filters or avoid) or 2 * len(self._unready) >= len(self._links)
        while True:
            narrowed = narrowed and bool(self._unready)
            try:
                # Ready ones first: a filter that prefers some nodes is to choose among them.
                pick = self._selector.select(
                    call, filters=(self._ready, *filters) if narrowed else filters, avoid=avoid
                )
            except Error as error:
                if not no_available_node().matches(error):
                    raise
                since = self._clock.time() if since is None else since
                self._refuse_or_wait(call, filters, fail_fast=fail_fast, error=error, since=since)
                return None
            link = self._links.get(pick.node.address)
            known_unready = link is not None and link.address in self._unready
            if link is None or (narrowed and known_unready):
                why = "is not listed" if link is None else "a filter had left out"
                raise RuntimeError(f"{self._selector!r} picked {pick.node!r}, which {why}")
            if link.connection.ready and not known_unready:
                return pick, link
            pick.done(Outcome.CANCELLED)
            if not known_unready:
                self._lose(link)
            narrowed = True

    def _refuse_or_wait(
        self,
        call: Call,
        filters: Sequence[NodeFilter],
        *,
        fail_fast: bool | None,
        error: Error,
        since: float,
    ) -> None:
        """Return if a call without a ready node is to wait for one, else raise what it gets.

        A call that fails fast still waits while a first attempt is under way, to connect or
        to ask the registry: what comes of it is not known yet.
        """
        if self._unready:
            try:
                addresses = narrow(call, self._by_address, filters=filters, avoid=())
            except Error as none:
                addresses, error = [], none
            links = [self._links[each] for each in addresses if each in self._unready]
            if links:
                if _have_failed(links, fail_fast=fail_fast, since=since):
                    message = f"no node of {self._target} is ready"
                    raise Error(503, self._reason, message) from self._reasons()
                return
        if self._nodes.revision > 0:
            raise Error(503, self._reason, self._none(error)) from error
        if fail_fast and self._nodes.stale_since is not None:
            raise Error(503, self._reason, "no node is known yet") from self._reasons()

    def _ready(self, _call: Call, nodes: Sequence[Node], /) -> Sequence[Node]:
        """Keep the nodes that can be picked (a node filter)."""
        return [node for node in nodes if node.address not in self._unready]

    def _none(self, error: Error) -> str:
        """Tell a caller why there is no node; it may be all that the caller ever sees."""
        known = len(self._nodes.nodes)
        if not known:
            return f"{self._target} has no node: no instance is registered that it could use"
        if error.message:
            return f"{error.message} of {self._target}"
        return f"the filters leave none of the {known} nodes of {self._target}"

    async def _wait(self, call: Call) -> tuple[Pick, Link]:
        """Pick the first node that becomes ready for the call."""
        since = self._clock.time()
        while True:
            await self._progress(call)
            chosen = self._choose(call, since)
            if chosen is not None:
                return chosen

    async def _progress(self, call: Call | None) -> None:
        """Wait until another choice may come out otherwise, or the call's deadline passes."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.add(waiter)
        timer = None
        if call is not None and call.deadline is not None:
            # The wheel knows the deadline of the call that was made, not that of an attempt.
            timer = loop.call_at(call.deadline, _expire, waiter)
        try:
            in_time = await waiter
        except asyncio.CancelledError as error:
            if call is not None and ran_out_of_time(call):
                raise error from self._reasons()
            raise
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()
        if not in_time:
            message = "the deadline passed before a node was ready"
            raise Error(504, "DEADLINE_EXCEEDED", message) from self._reasons()

    def _reasons(self) -> ConnectionError:
        """Say which nodes are not ready and why; for logs, it does not travel."""
        if not self._links:
            return ConnectionError(f"{self._target}: the registry has not answered yet")
        lines = [
            f"{address}: {'connecting' if link.failure is None else reason_of(link.failure)}"
            for address, link in self._links.items()
            if address in self._unready
        ]
        more = [f"{len(lines) - _REASONS} more"] if len(lines) > _REASONS else []
        return ConnectionError(f"{self._target}: {'; '.join(lines[:_REASONS] + more)}")

    def _lose(self, link: Link) -> None:
        """Pick a node no more until its connection is ready again."""
        self._unready.add(link.address)
        link.warm()

    def _follow(self, link: Link) -> None:
        """Note what came of an attempt to connect."""
        if link.connection.ready:
            self._unready.discard(link.address)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(True)

    def _require_open(self) -> None:
        if self._closed:
            raise Error(503, self._reason, "the client is closed")


def _have_failed(links: Sequence[Link], *, fail_fast: bool | None, since: float) -> bool:
    """Tell whether a call that has waited since then is to wait for none of these any more."""
    if fail_fast is not None:
        return fail_fast and all(link.failure is not None for link in links)
    untried = [link for link in links if link.failure is None or link.tried_at < since]
    for link in untried:
        link.hurry()
    return not untried


def _expire(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
