"""Keys of the registry and of configuration: pure functions.

Go Kratos has no layout for Redis, so this one is our own; what it holds is the JSON of Go Kratos.
Braces make all keys of a service, and a hash and its stream, hash to one slot of a cluster.
"""

from __future__ import annotations

from typing import Final

from kratos.errors import ConfigError
from kratos.registry import ServiceInstance

__all__ = [
    "NAMESPACE",
    "changes_of",
    "check_namespace",
    "decode",
    "instance_key",
    "service_key",
]

NAMESPACE: Final = "microservices"


def check_namespace(namespace: str) -> str:
    """Return what the keys of a registry begin with.

    Raises:
        ConfigError: It is empty, or holds a brace.
    """
    if not namespace or _has_brace(namespace):
        raise ConfigError(f"namespace={namespace!r} must not be empty, nor hold a brace")
    return namespace


def service_key(namespace: str, name: str) -> bytes:
    """Return the key that says which instances a service has.

    Raises:
        ValueError: The name is empty, or holds a brace, which would take its keys apart.
    """
    if not name or _has_brace(name):
        raise ValueError(
            f"service name {name!r} cannot be in a key of Redis: it must not be empty, nor hold a "
            "brace"
        )
    return f"{namespace}/{{{name}}}".encode("utf-8", "surrogatepass")


def instance_key(service: bytes, id_: bytes) -> bytes:
    """Return the key of an instance, below that of its service."""
    return service + b"/" + id_


def changes_of(key: bytes) -> bytes:
    """Return the key of the stream that tells of changes of another key, in the same slot."""
    before, brace, after = key.partition(b"{")
    tag, end, _ = after.partition(b"}")
    has_tag = bool(brace and end and tag)
    if has_tag:
        return key + b":changes"
    if before != key:
        raise ConfigError(
            f"key {key.decode('utf-8', 'replace')!r} has a brace that begins no hash tag: write it "
            "without, or as {tag}"
        )
    return b"{" + key + b"}:changes"


def decode(data: bytes, *, id_: bytes, name: str) -> ServiceInstance:
    """Read the value of a key of an instance.

    Raises:
        ValueError: It is not the JSON of that instance of that service; the text says why.
    """
    instance = ServiceInstance.from_json(data)
    if (instance.id.encode("utf-8", "surrogatepass"), instance.name) != (id_, name):
        raise ValueError(f"it must be of the service and the id of its key, and is {instance}")
    return instance


def _has_brace(text: str) -> bool:
    return "{" in text or "}" in text
