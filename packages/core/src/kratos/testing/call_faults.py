"""Faults between clients and servers, made to order: what a network, or a peer, may do to calls."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypedDict, TypeVar, Unpack

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import Error
from kratos.testing._fault_headers import HeaderFaults
from kratos.testing._fault_links import FaultyConnector, Links
from kratos.testing._fault_rules import (
    Choice,
    CutStream,
    Delay,
    Drop,
    Fail,
    FaultRule,
    LoseReply,
)
from kratos.transport import Call, Connector, Handler, Method, Side
from kratos.transport.chain import Middleware

__all__ = ["CallFaults", "Chosen", "FaultRule"]

RuleT = TypeVar("RuleT", bound=FaultRule)

_MAX_DELAY: Final = 10.0  # seconds


class Chosen(TypedDict, total=False):
    """Which calls a fault meets; see ``CallFaults``."""

    operation: str | Method[Any, Any]
    address: str
    nth: int | None
    probability: float
    times: int | None


class CallFaults:
    """Disturbs calls on their way, by rules that a test makes and lifts.

        faults = CallFaults(seed=7)
        faults.delay(0.2, operation="/shop.v1.Orders/*", probability=0.1)
        broken = faults.refuse(operation=ORDERS_PLACE, nth=3)

    Put it where calls pass: ``serving(..., faults=faults)`` in process;
    ``Client(..., transport=faults.connector(GrpcConnector()))`` under any transport, where links
    and nodes can fail too; ``faults.middleware()`` in the chain of a server, or of a client.

    Every rule takes the same choice of calls, and meets all by default:

    * ``operation``: a method, or a pattern such as ``/shop.v1.Orders/*``;
    * ``address``: that of a node, at a connector;
    * ``nth``: only that one of the calls that match, counted from 1;
    * ``probability``: of meeting a call that matches, drawn from a generator of the rule's own:
      equal seeds and equal calls give equal faults, whatever other rules there are;
    * ``times``: how many calls it meets at most.

    Rules are asked in the order in which they were made, and all that meet a call are in force.

    Args:
        seed: Seed of all generators.
        clock: Time of delays.
    """

    def __init__(self, *, seed: int = 0, clock: Clock = SYSTEM_CLOCK) -> None:
        self._seed = seed
        self._clock = clock
        self._made = 0
        self._rules: list[FaultRule] = []
        self._links = Links()

    def delay(self, seconds: float, /, **chosen: Unpack[Chosen]) -> FaultRule:
        """Hold calls up for so many seconds before they go on.

        Raises:
            ValueError: The delay is negative, or a part of the choice is out of range.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"a delay of {seconds} s is none; use a number from 0 on")
        return self._add(Delay(_choice(chosen), self._random(), seconds=seconds, clock=self._clock))

    def error(self, error: Error, /, **chosen: Unpack[Chosen]) -> FaultRule:
        """Answer calls with an error, each with a copy of it; their handlers do not run.

        Raises:
            TypeError: It is no ``Error``.
        """
        if not isinstance(error, Error):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"calls are answered with an Error(code, reason), not {error!r}")
        return self._add(Fail(_choice(chosen), self._random(), make=error.clone))

    def refuse(self, **chosen: Unpack[Chosen]) -> FaultRule:
        """Break connections before a call is sent: 503, and the handler does not run."""
        return self._add(
            Fail(_choice(chosen), self._random(), make=_broken("the connection was refused"))
        )

    def lose_reply(self, **chosen: Unpack[Chosen]) -> FaultRule:
        """Break connections after a call was sent: 503, although its handler runs to its end.

        What a stream had sent until then arrives, but not its end.
        """
        return self._add(
            LoseReply(
                _choice(chosen), self._random(), make=_broken("the connection broke before the end")
            )
        )

    def cut_stream(self, *, after: int, **chosen: Unpack[Chosen]) -> FaultRule:
        """Break streams of replies after so many of them, with 503; counts such calls only.

        At a connector the break comes at once, in a chain with the reply that follows.
        """
        if after < 0:
            raise ValueError(f"after={after}: replies are counted from 0")
        return self._add(
            CutStream(
                _choice(chosen),
                self._random(),
                after=after,
                make=_broken(f"the connection broke after {after} replies"),
            )
        )

    def drop(self, **chosen: Unpack[Chosen]) -> FaultRule:
        """Swallow calls: no handler runs, and nothing comes back before the deadline."""
        return self._add(Drop(_choice(chosen), self._random()))

    def go_away(self, address: str = "", /) -> None:
        """Let a node take leave, as a GOAWAY does, until ``restore``.

        New calls and connections are refused; calls in flight go on to their end. At a
        connector only.

        Args:
            address: Of the node; empty for all.
        """
        self._links.go_away(address)

    def half_open(self, address: str = "", /) -> None:
        """Let a link fall silent, as when a peer's machine dies, until ``restore``.

        The connection still looks sound, but nothing comes or goes: not what is new, not the
        replies of calls in flight. At a connector only.

        Args:
            address: Of the node at its end; empty for all.
        """
        self._links.half_open(address)

    def restore(self, address: str = "", /) -> None:
        """Undo ``go_away`` and ``half_open``: what a silent link held up passes now.

        Args:
            address: Of the node; empty for all.
        """
        self._links.restore(address)

    def clear(self) -> None:
        """Lift all rules, and restore all links."""
        for rule in self._rules:
            rule.lift()
        self._rules.clear()
        self._links.restore("")

    def connector(self, inner: Connector, /) -> Connector:
        """Return the client's side of a transport with these faults in its way.

        Args:
            inner: The transport's own, for example ``GrpcConnector()``.
        """
        return FaultyConnector(inner, self._links, self.carry)

    def middleware(
        self, *, from_headers: bool = False, max_delay: float = _MAX_DELAY
    ) -> Middleware:
        """Return a middleware that disturbs the calls of a chain.

        On a server, ``refuse`` answers 503 before the handler runs, ``lose_reply`` after it,
        and ``drop`` holds the call until the deadline.

        Args:
            from_headers: Whether callers may ask for faults by themselves, for trials in a
                staging environment: ``x-kratos-fault-delay: 200ms``, ``x-kratos-fault-code: 503``,
                or both. Whoever reaches the server can then slow down and fail their own calls.
            max_delay: Seconds that such a header may ask for; longer ones are cut.
        """
        headers = HeaderFaults(self._clock, max_delay=max_delay) if from_headers else None

        async def faulty(call: Call, request: Any, next: Handler, /) -> Any:
            if headers is not None:
                await headers.apply(call)
            met = self.met(call, "")
            for rule in met:
                _hook(call, rule)
            return await _through(met, call, lambda: next(call, request))

        return faulty

    def met(self, call: Call, address: str) -> list[FaultRule]:
        """Count a call, and return the rules that meet it (for transports)."""
        return [rule for rule in self._rules if rule.meets(call, address)]

    async def carry(self, call: Call, address: str, carry: Links.Carry) -> Any:
        """Carry a call over a connection (for connectors)."""
        met = self.met(call, address)
        watches = [watch for rule in met if (watch := rule.watch(call)) is not None]
        return await _through(met, call, lambda: carry(watches))

    def _add(self, rule: RuleT) -> RuleT:
        self._made += 1
        self._rules.append(rule)
        return rule

    def _random(self) -> random.Random:
        return random.Random(f"{self._seed}/{self._made}")


async def _through(met: list[FaultRule], call: Call, carry: Callable[[], Awaitable[Any]]) -> Any:
    for rule in reversed(met):
        carry = _linked(rule, call, carry)
    return await carry()


def _linked(
    rule: FaultRule, call: Call, carry: Callable[[], Awaitable[Any]]
) -> Callable[[], Awaitable[Any]]:
    return lambda: rule.carry(call, carry)


def _hook(call: Call, rule: FaultRule) -> None:
    """Let a rule see the replies of a stream that passes a chain."""
    watch = rule.watch(call)
    if watch is None:
        return

    async def see(message: Any) -> Any:
        watch()
        return message

    if call.side is Side.SERVER:
        call.on_send(see)
    else:
        call.on_receive(see)


def _choice(chosen: Chosen) -> Choice:
    operation = chosen.get("operation", "*")
    return Choice(
        operation=operation if isinstance(operation, str) else operation.operation,
        address=chosen.get("address", ""),
        nth=chosen.get("nth"),
        probability=chosen.get("probability", 1.0),
        times=chosen.get("times"),
    )


def _broken(why: str) -> Callable[[], Error]:
    def make() -> Error:
        return Error(503, "UNAVAILABLE", why).with_cause(ConnectionResetError(why))

    return make
