"""A middleware that asks a limiter before each call: one for all, per operation, or per key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from aegis.group import Group
from aegis.guard import Guard
from kratos.errors import ConfigError
from kratos.middleware._admission import (
    Key,
    admitting,
    admitting_in_turn,
    by_key,
    indifferent,
    opening,
)
from kratos.middleware._guard_gauges import GuardGauges
from kratos.middleware._rate import KeyedRate, Rate, SharedRate, by_rate, by_rate_of_key, by_shared
from kratos.middleware._refusal import Refusals
from kratos.middleware._turns import Turns
from kratos.middleware._verdict import Judge
from kratos.transport.chain import Middleware
from kratos.transport.method import Method

__all__ = ["Guarding", "Linking", "OfKeys", "OfMethods", "Per", "Streams", "check_per"]

Per: TypeAlias = "Literal['instance', 'operation'] | Key"
"""What has a limiter of its own: the middleware, an operation, or a key that a function returns."""

Streams: TypeAlias = "Literal['hold', 'opening', 'exempt']"
"""What a stream is: a call until its end, one that is over when it has begun, or no call."""

_ALL: Final = "*"  # stands for the operation where one limiter serves all


class Guarding(ABC):
    """A middleware of limiters, with their states.

    One object may stand in several chains, of several servers; their calls then share its
    limiters. It belongs to one event loop.
    """

    def __init__(self, gauges: GuardGauges, streams: Streams) -> None:
        if streams not in ("hold", "opening", "exempt"):
            raise ConfigError(f"streams is 'hold', 'opening' or 'exempt', not {streams!r}")
        self._gauges = gauges
        self._exempt = streams == "exempt"

    def bind(self, method: Method[Any, Any], /) -> Middleware | None:
        """Return the link for one method, its limiter looked up."""
        streaming = method.arity.client_streams or method.arity.server_streams
        return None if streaming and self._exempt else self._link(method, streaming=streaming)

    def stats(self) -> dict[str, Any]:
        """Return what each limiter tells of itself, by operation; ``*`` for one that serves all.

        Limiters per key are left out: there may be too many of them.
        """
        return self._gauges.stats()

    def publish(self) -> None:
        """Set the gauges of the meter to the present states.

        A ``Collecting`` meter does it by itself; for another, let a job do it.
        """
        self._gauges.publish()

    @abstractmethod
    def _link(self, method: Method[Any, Any], *, streaming: bool) -> Middleware: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Linking:
    """How a limiter becomes the link of a chain.

    Attributes:
        refusals: Makes the error of a refusal.
        judge: What the end of a unary call says.
        judge_stream: What the end of a stream says.
        streams: What a stream is.
        ask_always: Whether a call that returns is no success before it is judged, too.
        turns: Where unary calls wait that have been admitted; ``None`` for nowhere.
    """

    refusals: Refusals
    judge: Judge
    judge_stream: Judge = indifferent
    streams: Streams = "hold"
    ask_always: bool = False
    turns: Turns | None = None

    def fits(self, limiter: object) -> bool:
        """Tell whether ``link`` can link what somebody's factory has made."""
        return callable(getattr(limiter, "allow", None))

    def link(self, limiter: Guard | Rate, *, streaming: bool) -> Middleware:
        """Return the link of one limiter."""
        if not isinstance(limiter, Guard):
            return by_rate(limiter, self.refusals)
        refusals, judge, ask_always = self.refusals, self.judge, self.ask_always
        if streaming:
            if self.streams == "opening":
                return opening(limiter, refusals)
            return admitting(limiter, refusals, self.judge_stream, ask_always=ask_always)
        if self.turns is None:
            return admitting(limiter, refusals, judge, ask_always=ask_always)
        return admitting_in_turn(limiter, refusals, judge, self.turns, ask_always=ask_always)


class OfMethods(Guarding):
    """Limiters that a factory makes, each when it is first needed."""

    def __init__(
        self,
        make: Callable[[], Guard | Rate],
        *,
        per: Per,
        linking: Linking,
        gauges: GuardGauges,
        keys: int,
    ) -> None:
        super().__init__(gauges, linking.streams)
        if not isinstance(cast("object", keys), int) or keys < 1:
            raise ConfigError(f"keys must be a number from 1, not {keys!r}")
        self._make: Final = make
        self._per: Final = check_per(per)
        self._linking: Final = linking
        self._limited: Final = Group(self._new, capacity=keys)

    def _link(self, method: Method[Any, Any], *, streaming: bool) -> Middleware:
        per, limited = self._per, self._limited.get
        if callable(per):
            return by_key(per, lambda key: limited(key).links[streaming])
        name = _ALL if per == "instance" else method.operation
        one = limited(name)
        self._gauges.watch(name, one.limiter)
        # A link of its own, as links may remember something of their method.
        return self._linking.link(one.limiter, streaming=streaming)

    def _new(self) -> _Limited:
        limiter, link = self._make(), self._linking.link
        if not self._linking.fits(limiter):
            raise ConfigError(f"{self._make!r} made {limiter!r}, which cannot be used here")
        return _Limited(limiter, (link(limiter, streaming=False), link(limiter, streaming=True)))


class _Limited(NamedTuple):
    """A limiter, and its links for unary calls and for streams."""

    limiter: Guard | Rate
    links: tuple[Middleware, Middleware]


class OfKeys(Guarding):
    """One limiter that tells keys apart by itself."""

    def __init__(
        self,
        limiter: KeyedRate | SharedRate,
        *,
        per: Per,
        linking: Linking,
        gauges: GuardGauges,
    ) -> None:
        super().__init__(gauges, linking.streams)
        self._per: Final = check_per(per)
        self._limiter: Final = limiter
        self._refusals: Final = linking.refusals
        gauges.watch(_ALL, limiter)

    def _link(self, method: Method[Any, Any], *, streaming: bool) -> Middleware:
        limiter, key = self._limiter, self._key(method)
        if iscoroutinefunction(getattr(limiter, "take", None)):
            return by_shared(cast("SharedRate", limiter), key, self._refusals)
        return by_rate_of_key(cast("KeyedRate", limiter), key, self._refusals)

    def _key(self, method: Method[Any, Any]) -> Key:
        if callable(self._per):
            return self._per
        name = _ALL if self._per == "instance" else method.operation
        return lambda _call: name


def check_per(per: Per) -> Per:
    """Return ``per``.

    Raises:
        ConfigError: It is none of its values.
    """
    if callable(per) or per in ("instance", "operation"):
        return per
    raise ConfigError(
        f"per is 'instance', 'operation' or a function of the call that returns a key, not {per!r}"
    )
