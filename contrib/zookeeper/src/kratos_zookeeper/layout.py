"""Nodes of the registry, as Go Kratos has them: ``<root>/<service>/<id>``, pure functions.

The root and the nodes of services stay and hold nothing. The node of an instance is ephemeral:
it goes with the session that made it. It holds the JSON of the instance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kratos.errors import ConfigError
from kratos.registry import ServiceInstance

__all__ = ["absolute", "ancestors", "decode", "instance_path", "service_path"]

# What ZooKeeper refuses in paths: control characters, surrogates, private and special ones.
_REFUSED: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff]")


def absolute(path: str) -> str:
    """Return the path of a node in the form that ZooKeeper takes: no slash at its end.

    Raises:
        ConfigError: It does not begin with a slash, is the root of everything, or has a part that
            cannot be a node.
    """
    parts = path.strip("/").split("/")
    if not path.startswith("/") or not parts[0]:
        raise ConfigError(f"path {path!r} must be that of a node, such as /microservices")
    try:
        return "".join(f"/{_part('part', part)}" for part in parts)
    except ValueError as error:
        raise ConfigError(f"path {path!r}: {error}") from error


def service_path(root: str, name: str) -> str:
    """Return the node below which the instances of a service are.

    Raises:
        ValueError: The name cannot be that of a node.
    """
    return f"{root}/{_part('service name', name)}"


def instance_path(root: str, instance: ServiceInstance) -> str:
    """Return the node of an instance.

    Raises:
        ValueError: Its name or its id cannot be that of a node.
    """
    return f"{service_path(root, instance.name)}/{_part('id', instance.id)}"


def ancestors(path: str) -> Iterator[str]:
    """Yield what must be there before a node can be made, from the top."""
    parts = path.split("/")
    for length in range(2, len(parts)):
        yield "/".join(parts[:length])


def decode(data: bytes, *, name: str) -> ServiceInstance:
    """Read the data of a node of a service.

    Raises:
        ValueError: It is not the JSON of an instance of that service; the text says why.
    """
    instance = ServiceInstance.from_json(data)
    if not instance.id or instance.name != name:
        raise ValueError(f"it must have an id, and be of {name!r}, not of {instance.name!r}")
    return instance


def _part(kind: str, text: str) -> str:
    if not text or text in {".", ".."} or "/" in text or _REFUSED.search(text):
        raise ValueError(
            f"{kind} {text!r} cannot be the name of a node of ZooKeeper: it must not be empty, "
            "'.' or '..', nor hold a slash, control or private characters"
        )
    return text
