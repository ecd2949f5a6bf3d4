"""How the target of a back end may be written."""

from __future__ import annotations

from urllib.parse import urlsplit

from kratos.address import split_host_port

__all__ = ["target_problem"]


def target_problem(target: str) -> str | None:
    """Return what is wrong with a target; ``None`` if it is well."""
    scheme, separator, rest = target.partition("://")
    if not separator:
        return _place_problem(target)
    if scheme == "direct":
        return _place_problem(rest.partition("/")[2])
    if scheme == "discovery":
        name = urlsplit(target).path.removeprefix("/")
        return None if name else f"{target!r} names no service: write discovery:///service"
    return f"scheme {scheme!r} is unknown: write host:port, or discovery:///service"


def _place_problem(place: str) -> str | None:
    example = "write host:port, such as 127.0.0.1:8000"
    if not place:
        return f"it is empty: {example}"
    try:
        host, port = split_host_port(place)
    except ValueError as error:
        return f"{error}; {example}"
    if not host or not port:
        return f"{place!r} lacks a host or a port: {example}"
    return None
