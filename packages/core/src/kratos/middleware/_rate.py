"""Links for limiters of rates, which hear of no end."""

from __future__ import annotations

from typing import Any, Protocol

from aegis.refusal import RateExceeded
from kratos.errors import Error
from kratos.middleware._admission import Key
from kratos.middleware._refusal import Refusals
from kratos.transport.call import Call, Handler
from kratos.transport.chain import Middleware

__all__ = ["Decision", "KeyedRate", "Rate", "SharedRate", "by_rate", "by_rate_of_key", "by_shared"]


class Decision(Protocol):
    """What a limiter of rates answers."""

    @property
    def allowed(self) -> bool:
        """Whether the call may run."""
        ...

    @property
    def retry_after(self) -> float:
        """Seconds after which a refused call would be let through."""
        ...


class Rate(Protocol):
    """Limits the rate of all calls together."""

    def allow(self) -> bool:
        """Tell whether one more call may run now."""
        ...

    def peek(self) -> Decision:
        """Tell what another call would be answered."""
        ...


class KeyedRate(Protocol):
    """Limits the rate of each key by itself."""

    def allow(self, key: str, /) -> bool:
        """Tell whether one more call of the key may run now."""
        ...

    def peek(self, key: str, /) -> Decision:
        """Tell what another call of the key would be answered."""
        ...


class SharedRate(Protocol):
    """Limits the rate of each key over several processes, which takes a round trip."""

    async def take(self, key: str, /) -> Decision:
        """Decide on one call of the key, and tell when to try again."""
        ...


def by_rate(limiter: Rate, refusals: Refusals) -> Middleware:
    """Return the link of one limiter of rates."""
    allow, peek = limiter.allow, limiter.peek

    async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
        if not allow():
            raise _refused(peek(), call, refusals)  # only now is a decision worth its making
        return await next(call, request)

    return admitted


def by_rate_of_key(limiter: KeyedRate, key: Key, refusals: Refusals) -> Middleware:
    """Return the link of a limiter of rates by a key of the call; calls without one pass."""
    allow, peek = limiter.allow, limiter.peek

    async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
        account = key(call)
        if account is not None and not allow(account):
            raise _refused(peek(account), call, refusals)
        return await next(call, request)

    return admitted


def by_shared(limiter: SharedRate, key: Key, refusals: Refusals) -> Middleware:
    """Return the link of a limiter of rates that has to be asked elsewhere."""
    take = limiter.take

    async def admitted(call: Call, request: Any, next: Handler, /) -> Any:
        account = key(call)
        if account is not None:
            decision = await take(account)
            if not decision.allowed:
                raise _refused(decision, call, refusals)
        return await next(call, request)

    return admitted


def _refused(decision: Decision, call: Call, refusals: Refusals) -> Error:
    told = RateExceeded("the rate is exceeded", retry_after=decision.retry_after)
    return refusals.error(call, told)
