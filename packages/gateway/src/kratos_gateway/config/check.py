"""What is wrong with a configuration, before it is asked to serve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from kratos_gateway.api.gateway_pb2 import GRPC, Endpoint, Gateway, Middleware
from kratos_gateway.config.checks import (
    backend_troubles,
    balancer_troubles,
    path_troubles,
    time_troubles,
    tls_troubles,
)
from kratos_gateway.config.conditions import condition_troubles, local_troubles
from kratos_gateway.config.oddity import Oddity
from kratos_gateway.config.reach import reach_troubles
from kratos_gateway.config.retry_checks import retry_troubles
from kratos_gateway.config.slowness import slow_expressions
from kratos_gateway.config.spelling import spelling_troubles
from kratos_gateway.config.trouble import Trouble
from kratos_gateway.required import is_required, known_as

__all__ = ["Complaints", "Problem", "problems"]

_OF_GRPC: Final = ("connect", "grpcweb", "rest", "transcoder")

Complaints: TypeAlias = Callable[[Middleware], Sequence[Trouble]]
"""Tells why an installed middleware cannot be made, and what is odd about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that should be mended.

    Attributes:
        place: Where, such as ``endpoints[2].retry.conditions[0]``; empty for the whole.
        text: What is wrong, and what to do.
        fatal: Whether it will not work; if not, it is likely not what was meant.
    """

    place: str
    text: str
    fatal: bool = True

    def __str__(self) -> str:
        kind = "error" if self.fatal else "warning"
        return f"{kind}: {self.place or 'the whole'}: {self.text}"


def problems(
    gateway: Gateway,
    *,
    oddities: Sequence[Oddity] = (),
    middleware: Collection[str] | None = None,
    discovery: bool | None = None,
    complaints: Complaints | None = None,
    metrics: bool | None = None,
    elsewhere: Sequence[Endpoint] = (),
) -> list[Problem]:
    """Return all that is wrong, in the order of the definition; nothing is connected or made.

    Args:
        gateway: The configuration.
        oddities: What its text had besides, as ``read`` tells.
        middleware: Names that are installed; ``None`` if that is not known.
        discovery: Whether there will be a registry to ask; ``None`` if that is not known.
        complaints: Looks at the options of those that are installed; ``None`` for nobody.
        metrics: Whether the gateway will answer ``/metrics`` itself; ``None`` if that is not known.
        elsewhere: Endpoints of other files, which have the middleware of the whole as well.
    """
    found = [Problem(place=each.place, text=each.text, fatal=False) for each in oddities]
    found += (_problem("", trouble) for trouble in _whole(gateway))
    for name, tls in gateway.tls_store.items():
        found += (_problem(f"tls_store.{name}", each) for each in tls_troubles(tls))
    found += _middleware("", gateway.middlewares, middleware, complaints)
    around = [*gateway.endpoints, *elsewhere]
    if around and all(each.protocol != GRPC for each in around):
        found += _idle("", gateway.middlewares, "no endpoint is of gRPC")
    for at, endpoint in enumerate(gateway.endpoints):
        place = f"endpoints[{at}]"
        found += (_problem(place, each) for each in _endpoint(endpoint, gateway, discovery))
        found += (_problem(place, each) for each in spelling_troubles(endpoint, metrics=metrics))
        found += _middleware(f"{place}.", endpoint.middlewares, middleware, complaints)
        if endpoint.protocol != GRPC:
            found += _idle(f"{place}.", endpoint.middlewares, "this endpoint is not of gRPC")
    found += (_problem(place, each) for place, each in reach_troubles(gateway.endpoints))
    slow = slow_expressions(gateway.endpoints, gateway.middlewares)
    found += (Problem(place=place, text=text, fatal=False) for place, text in slow)
    return found


def _problem(place: str, trouble: Trouble) -> Problem:
    within = ".".join(part for part in (place, trouble.field) if part)
    return Problem(place=within, text=trouble.text, fatal=trouble.fatal)


def _whole(gateway: Gateway) -> Iterator[Trouble]:
    if not gateway.endpoints:
        yield Trouble("endpoints", "there is none, so every request is answered 404", fatal=False)
    if gateway.hosts:
        text = "nothing reads it; name the host of an endpoint in its own host"
        yield Trouble("hosts", text, fatal=False)


def _endpoint(endpoint: Endpoint, gateway: Gateway, discovery: bool | None) -> Iterator[Trouble]:  # noqa: FBT001
    yield from path_troubles(endpoint)
    yield from condition_troubles(endpoint)
    yield from local_troubles(endpoint)
    yield from time_troubles(endpoint)
    yield from retry_troubles(endpoint)
    yield from balancer_troubles(endpoint)
    yield from backend_troubles(endpoint, gateway.tls_store, discovery=discovery)


def _idle(place: str, listed: Sequence[Middleware], why: str) -> Iterator[Problem]:
    """Tell of middleware for calls of gRPC, which passes over all others."""
    for at, each in enumerate(listed):
        name = known_as(each)
        if name in _OF_GRPC:
            text = f"{name} does nothing, as {why}: write protocol: GRPC, or leave it out"
            yield Problem(place=f"{place}middlewares[{at}]", text=text, fatal=False)


def _middleware(
    place: str,
    listed: Sequence[Middleware],
    installed: Collection[str] | None,
    complaints: Complaints | None,
) -> Iterator[Problem]:
    for at, each in enumerate(listed):
        within = f"{place}middlewares[{at}]"
        name = known_as(each)
        if not name:
            yield Problem(place=f"{within}.name", text="it is empty: name a middleware")
        elif installed is not None and name not in installed:
            known = ", ".join(sorted(installed)) or "none"
            text = f"no middleware {each.name!r} is installed; known are {known}"
            yield _left_out(f"{within}.name", text, each)
        elif complaints is not None:
            for trouble in complaints(each):
                text = ": ".join(part for part in (name, trouble.field, trouble.text) if part)
                if trouble.fatal:
                    yield _left_out(f"{within}.options", text, each)
                else:
                    yield Problem(place=f"{within}.options", text=text, fatal=False)


def _left_out(place: str, text: str, middleware: Middleware) -> Problem:
    required = is_required(middleware)
    if not required:
        text += "; it is left out, as it is not required"
    return Problem(place=place, text=text, fatal=required)
