"""How the nodes of an endpoint are picked, as its configuration says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from google.protobuf.duration_pb2 import Duration

from kratos import plugins
from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, Error, PluginNotFound
from kratos.selector import (
    ConsistentHash,
    Outcome,
    OutlierEjection,
    Selector,
    WeightedRoundRobin,
)
from kratos.transport import Arity
from kratos_gateway.api import gateway_pb2 as pb
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.times import in_seconds
from kratos_http.cookies import parse_cookies

__all__ = ["NO_CALL", "Asked", "Balance", "balance_of"]

_HASH: Final = "hash"
_FAULTS: Final = frozenset((500, 502, 503, 504))
_NAMES: Final = {"min_requests": "min_calls"}
_MAY_BE_OFF: Final = ("consecutive", "failure_rate", "slower")
_LONGEST: Final = 10  # ejections of a node last up to so many times the first one

_Key: TypeAlias = "Callable[[Request], str | None]"


class _Method:
    """What selectors look at: answers are waited for, so that their latency tells something."""

    arity: Final = Arity.UNARY


class Asked:
    """What selectors take for a call: they look at its method, and at its key.

    Args:
        key: What is to be kept on one node; ``None`` for nothing.
    """

    __slots__ = ("key",)

    method: Final = _Method()
    options: Final = None

    def __init__(self, key: str | None) -> None:
        self.key = key


NO_CALL: Final = cast("Any", Asked(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How nodes are picked.

    Attributes:
        selector: Picks them; ``None`` to pick as an endpoint does that says nothing.
        key: Tells what a request is kept on one node by; ``None`` for nothing.
        judge: Whether answers of a status that is a fault of the node count as failures.
    """

    selector: Selector | None = None
    key: _Key | None = None
    judge: bool = False

    def call(self, request: Request) -> Any:
        """Return what the selector takes for the call of a request."""
        return NO_CALL if self.key is None else Asked(self.key(request))

    def outcome(self, answer: Answer) -> Outcome:
        """Return what an answer says about its node."""
        if self.judge and answer.status in _FAULTS:
            return Outcome.failure(Error(answer.status, "BACKEND", "the answer of a back end"))
        return Outcome.SUCCESS


def balance_of(
    endpoint: pb.Endpoint, *, default: Callable[[], Selector], clock: Clock = SYSTEM_CLOCK
) -> Balance:
    """Return how the nodes of an endpoint are picked.

    Args:
        endpoint: The endpoint.
        default: Makes the selector of one that names none.
        clock: Time for nodes that are left out.

    Raises:
        ConfigError: A balancer is none, or a number is out of its range.
    """
    if not endpoint.HasField("balancer"):
        return Balance()
    told = endpoint.balancer
    key = _key_of(told)
    if (key is not None or told.HasField("bound")) and told.name != _HASH:
        raise ConfigError("balancer: header, cookie, source and bound are of the name hash")
    selector = _selector_of(told, key)
    if not told.HasField("outlier"):
        return Balance(selector=selector, key=key)
    if selector is None:
        weights = any(backend.HasField("weight") for backend in endpoint.backends)
        selector = WeightedRoundRobin() if weights else default()
    selector = _ejecting(selector, told.outlier, clock)
    return Balance(selector=selector, key=key, judge=True)


def _selector_of(told: pb.Balancer, key: _Key | None) -> Selector | None:
    if not told.name:
        return None
    try:
        if told.name != _HASH:
            made: Selector = plugins.load("kratos.selector", told.name)()
            return made
        if key is None:
            raise ConfigError("hash needs a key: name a header, a cookie, or source")
        bound = told.bound if told.HasField("bound") else None
        return ConsistentHash(lambda call: cast("Any", call).key, bound=bound)
    except (ConfigError, PluginNotFound) as error:
        raise ConfigError(f"balancer: {error}") from error


def _key_of(told: pb.Balancer) -> _Key | None:
    kind = told.WhichOneof("key")
    if kind == "header":
        name = told.header.lower().encode("latin-1", "replace")
        return lambda request: request.header(name).decode("latin-1") or None
    if kind == "cookie":
        return _CookieKey(told.cookie)
    return _source if kind == "source" and told.source else None


def _source(request: Request) -> str | None:
    return request.peer.rpartition(":")[0] or request.peer or None


class _CookieKey:
    """Tells the value of a cookie."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, request: Request) -> str | None:
        lines = (value.decode("latin-1") for name, value in request.headers if name == b"cookie")
        return parse_cookies(lines).get(self._name) or None


def _ejecting(selector: Selector, told: pb.OutlierEjection, clock: Clock) -> Selector:
    options: dict[str, Any] = {}
    for field, value in told.ListFields():
        name = _NAMES.get(field.name, field.name)
        options[name] = in_seconds(value) if isinstance(value, Duration) else value
    for name in _MAY_BE_OFF:
        if options.get(name) == 0:
            options[name] = None
    if "ejection_time" in options:
        options["max_ejection_time"] = _LONGEST * options["ejection_time"]
    try:
        return OutlierEjection(selector, clock=clock, **options)
    except ConfigError as error:
        raise ConfigError(f"balancer.outlier: {error}") from error
