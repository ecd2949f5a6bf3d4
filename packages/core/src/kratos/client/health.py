"""Asking nodes whether they are healthy, besides what calls tell."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.message import Message

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error
from kratos.limit import cancel_and_wait, describe, is_cancelled_from_outside
from kratos.selector import Node
from kratos.transport import Call, ChainCaller, Connection, Connector, Method

__all__ = ["ActiveHealth", "CheckedConnector", "HealthCheck", "asking"]

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

HealthCheck: TypeAlias = "Callable[[Connection], Awaitable[bool]]"
"""Asks a node over its connection; an ``Error`` or ``OSError`` is a no."""

_UNIMPLEMENTED: Final = 501
_JITTER: Final = 0.2  # of an interval, so that a node is not asked by all clients at once

_log = logging.getLogger("kratos.client")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveHealth:
    """How a client asks its nodes for their health.

    A node is asked when it is connected and then every ``interval``. After ``failures`` answers
    in a row that are no yes it counts as not ready: calls go to others, and it is asked with
    back-off, as lost connections are made again, until it says yes.

    Attributes:
        check: Asks a node; ``asking`` makes one of a method.
        interval: Seconds; more than 0. A fifth more or less is drawn.
        failures: At least 1.
    """

    check: HealthCheck
    interval: float = 10.0
    failures: int = 2

    def __post_init__(self) -> None:
        if not callable(self.check):
            raise ConfigError(f"check={self.check!r} asks no node: pass an async function")
        if not 0 < self.interval < float("inf"):
            raise ConfigError(f"interval={self.interval}: it takes seconds, more than 0")
        if self.failures < 1:
            raise ConfigError(f"failures={self.failures}: it takes at least 1 to be not ready")


def asking(
    method: Method[Q, R],
    request: Q,
    *,
    healthy: Callable[[R], bool] = lambda _reply: True,
    timeout: float = 1.0,
) -> HealthCheck:
    """Make a health check of a unary method that the nodes serve.

    A node that answers 501 is healthy: it knows no such method, and says nothing about itself.

    Args:
        method: What to call.
        request: What to send.
        healthy: Judges the reply; by default any reply is a yes.
        timeout: Seconds that a node has for its answer; more than 0.
    """

    async def check(connection: Connection) -> bool:
        caller = ChainCaller(connection.invoke, transport=connection.node.scheme, timeout=timeout)
        try:
            return healthy(await caller.unary(method, request))
        except Error as error:
            if error.code == _UNIMPLEMENTED:
                return True
            raise

    return check


class CheckedConnector:
    """A connector whose connections are ready only while their nodes are healthy.

    Args:
        connector: Makes the connections.
        health: How to ask.
        clock: Time between questions.
    """

    def __init__(
        self, connector: Connector, health: ActiveHealth, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._connector = connector
        self._health = health
        self._clock = clock

    @property
    def scheme(self) -> str:
        """Scheme of the endpoints it reaches."""
        return self._connector.scheme

    @property
    def transport(self) -> str:
        """Name of the transport, which may be another one than the scheme."""
        transport: str = getattr(self._connector, "transport", self.scheme)
        return transport

    def connect(self, node: Node, /) -> Connection:
        """Return the connection of one node; see ``Connector``."""
        return _CheckedConnection(self._connector.connect(node), self._health, self._clock)


class _CheckedConnection:
    def __init__(self, inner: Connection, health: ActiveHealth, clock: Clock) -> None:
        self._inner = inner
        self._health = health
        self._clock = clock
        self._healthy = False
        self._closed = False
        self._asking: asyncio.Task[None] | None = None

    @property
    def node(self) -> Node:
        return self._inner.node

    @property
    def ready(self) -> bool:
        return self._healthy and self._inner.ready

    async def warm(self) -> None:
        await self._inner.warm()
        if self._healthy:
            return
        why = await self._ask()
        if why:
            raise ConnectionError(why)
        self._healthy = True
        if self._asking is None and not self._closed:
            # A context of its own: it is no part of the call that happened to need it.
            self._asking = asyncio.create_task(
                self._keep_asking(),
                name=f"kratos health {self.node.address}",
                context=Context(),
            )

    async def invoke(self, call: Call, request: Any, /) -> Any:
        return await self._inner.invoke(call, request)

    async def aclose(self, *, drain: float = 0.0) -> None:
        self._closed = True
        if self._asking is not None:
            await cancel_and_wait(self._asking)
        await self._inner.aclose(drain=drain)

    async def _keep_asking(self) -> None:
        failures, why = 0, ""
        while failures < self._health.failures:
            spread = 1 + _JITTER * (2 * random.random() - 1)
            await self._clock.sleep(self._health.interval * spread)
            if not self._inner.ready:
                continue  # that is known already, and no sign of ill health
            why = await self._ask()
            failures = failures + 1 if why else 0
        _log.warning("%s is not healthy: %s", self.node.address, why)
        self._healthy = False
        self._asking = None

    async def _ask(self) -> str:
        """Ask the node once; return why it is not healthy, empty if it is."""
        try:
            return "" if await self._health.check(self._inner) else "it says so itself"
        except (Error, OSError) as error:
            return describe(error)
        except asyncio.CancelledError as error:
            if is_cancelled_from_outside():
                raise
            return describe(error)  # some clients raise it when a call of theirs was ended
        except Exception as error:
            _log.exception("the health check of %s is broken", self.node.address)
            return describe(error)
