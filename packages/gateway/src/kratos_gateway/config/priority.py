"""Endpoints that come before those of the main configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from kratos_gateway.api.gateway_pb2 import Endpoint, Gateway, PriorityConfig
from kratos_gateway.config.reach import matches_of

__all__ = ["merge"]

_Key: TypeAlias = tuple[str, str, frozenset[bytes], bool]


def merge(main: Gateway, priorities: Iterable[PriorityConfig], /) -> Gateway:
    """Return the main configuration with endpoints of others, which leaves all of them as they are.

    One that there is already, by method, path and host, takes its place; so does one that differs
    from a single other in its host alone. A new one goes before all that are there, so of several
    new ones the last is asked first, as in Go. Endpoints that differ in ``match``, or of which one
    has a share of the requests and the other all, are different ones; those with conditions take
    the place of none of another host.

    Args:
        main: The main configuration.
        priorities: The others; of two that name one endpoint, the later one counts.
    """
    found = [(_key(endpoint), endpoint) for endpoint in main.endpoints]
    for priority in priorities:
        for endpoint in priority.endpoints:
            key = _key(endpoint)
            place = _place(found, key, endpoint)
            if place is None:
                found.insert(0, (key, endpoint))
            else:
                found[place] = key, endpoint
    merged = Gateway()
    merged.CopyFrom(main)
    del merged.endpoints[:]
    merged.endpoints.extend(endpoint for _, endpoint in found)
    return merged


def _place(found: Sequence[tuple[_Key, Endpoint]], key: _Key, wanted: Endpoint) -> int | None:
    """Return where the endpoint is that another one replaces; ``None`` if it is new."""
    alike = [at for at, (known, _) in enumerate(found) if known == key]
    same = [at for at in alike if found[at][1].host == wanted.host]
    if same:
        return same[0]
    conditional = wanted.match or wanted.HasField("percentage")
    return alike[0] if len(alike) == 1 and not conditional else None


def _key(endpoint: Endpoint) -> _Key:
    shared = endpoint.HasField("percentage")
    return endpoint.method, endpoint.path, matches_of(endpoint), shared
