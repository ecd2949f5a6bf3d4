"""What an endpoint asks of requests besides path, method and host, and does with them, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kratos.redact import HIDDEN
from kratos_gateway.api.gateway_pb2 import Endpoint, Match, Redirect
from kratos_gateway.hiding import is_secret_header

__all__ = ["in_words"]

_TESTS: Final = {
    "exact": "is",
    "prefix": "begins with",
    "suffix": "ends with",
    "regex": "fits",
}


def in_words(endpoint: Endpoint) -> list[str]:
    """Return one text for each condition, for a priority, and for an answer of the gateway."""
    return list(_parts(endpoint))


def _parts(endpoint: Endpoint) -> Iterator[str]:
    if endpoint.priority:
        yield f"priority {endpoint.priority}"
    yield from map(_match, endpoint.match)
    if endpoint.HasField("percentage"):
        kind = endpoint.sticky.WhichOneof("key")
        by = f" by {kind} {getattr(endpoint.sticky, kind)}" if kind else ""
        yield f"{endpoint.percentage:g} %{by}"
    if endpoint.HasField("redirect"):
        yield _redirect(endpoint.redirect)
    if endpoint.HasField("respond"):
        yield f"answers {endpoint.respond.status}"


def _match(match: Match) -> str:
    kind, test = match.WhichOneof("of"), match.WhichOneof("test")
    if kind is None:
        return "nothing"
    name: str = getattr(match, kind)
    if kind == "scheme":
        return f"scheme is {'not ' if match.invert else ''}{name}"
    if test is None or test == "present":
        there = (test is None or match.present) != match.invert
        return f"{kind} {name} is {'there' if there else 'not there'}"
    value = HIDDEN if is_secret_header(name) else repr(getattr(match, test))
    words = f"{kind} {name} {_TESTS[test]} {value}"
    return f"not: {words}" if match.invert else words


def _redirect(told: Redirect) -> str:
    scheme = "https://" if told.https else "//" if told.host else ""
    kind = told.WhichOneof("to")
    path = "/…" if kind is None else getattr(told, kind)
    host = told.host or ("…" if told.https else "")
    return f"redirects to {scheme}{host}{path}{'…' if kind == 'prefix' else ''}"
