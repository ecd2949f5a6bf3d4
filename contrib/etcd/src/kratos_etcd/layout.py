"""Layout on etcd, the one of Go Kratos: pure functions over keys.

``<namespace>/<name>/<id>`` holds the JSON of an instance, with the lease of its publication.
Nothing is escaped.
"""

from __future__ import annotations

from typing import Final

from kratos.registry import ServiceInstance

__all__ = ["NAMESPACE", "end_of_prefix", "instance_key", "service_prefix"]

NAMESPACE: Final = "/microservices"

_LAST: Final = 0xFF
_ALL: Final = b"\0"  # as an end: behind every key


def instance_key(namespace: str, instance: ServiceInstance) -> bytes:
    """Return the key of an instance."""
    return f"{namespace}/{instance.name}/{instance.id}".encode()


def service_prefix(namespace: str, name: str) -> bytes:
    """Return what the keys of a service begin with.

    Go Kratos reads without the slash, and so the keys of services too whose names only begin alike.
    As names may hold slashes, it is the name in the JSON that decides, here as there.
    """
    return f"{namespace}/{name}/".encode("utf-8", "surrogatepass")


def end_of_prefix(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with a prefix."""
    kept = prefix.rstrip(bytes([_LAST]))
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else _ALL
