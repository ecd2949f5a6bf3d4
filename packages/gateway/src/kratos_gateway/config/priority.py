"""Endpoints that come before those of the main configuration."""

from __future__ import annotations

from collections.abc import Iterable

from kratos_gateway.api.gateway_pb2 import Endpoint, Gateway, PriorityConfig

__all__ = ["merge"]


def merge(main: Gateway, priorities: Iterable[PriorityConfig], /) -> Gateway:
    """Return the main configuration with endpoints of others, which leaves all of them as they are.

    One that there is already, by method, path and host, takes its place; so does one that differs
    from a single other in its host alone. A new one goes before all that are there, so of several
    new ones the last is asked first, as in Go.

    Args:
        main: The main configuration.
        priorities: The others; of two that name one endpoint, the later one counts.
    """
    found = list(main.endpoints)
    for priority in priorities:
        for endpoint in priority.endpoints:
            place = _place(found, endpoint)
            if place is None:
                found.insert(0, endpoint)
            else:
                found[place] = endpoint
    merged = Gateway()
    merged.CopyFrom(main)
    del merged.endpoints[:]
    merged.endpoints.extend(found)
    return merged


def _place(found: list[Endpoint], wanted: Endpoint) -> int | None:
    """Return where the endpoint is that another one replaces; ``None`` if it is new."""
    alike = [at for at, each in enumerate(found) if _key(each) == _key(wanted)]
    same = [at for at in alike if found[at].host == wanted.host]
    if same:
        return same[0]
    return alike[0] if len(alike) == 1 else None


def _key(endpoint: Endpoint) -> tuple[str, str]:
    return endpoint.method, endpoint.path
