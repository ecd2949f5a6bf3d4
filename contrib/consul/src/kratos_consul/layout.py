"""Layout on Consul, the one of Go Kratos: pure functions from instances to its API and back.

The version is a tag ``version=...``. Each endpoint, as a whole, is a tagged address under its
scheme. The address of the service is that of the first one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from kratos.registry import ServiceInstance
from kratos_consul.checks import Endpoint, ServiceCheck, TcpCheck, go_duration

__all__ = [
    "VERSION_TAG",
    "check_id",
    "decode_entry",
    "is_same_service",
    "registration",
]

VERSION_TAG: Final = "version="

_OF_CONSUL: Final = frozenset(("lan_ipv4", "wan_ipv4", "lan_ipv6", "wan_ipv6"))
_META_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LONGEST_VALUE: Final = 512  # bytes
_MOST_PAIRS: Final = 64


def check_id(instance_id: str) -> str:
    """Return the id of the check that heartbeats keep passing."""
    return f"service:{instance_id}"


def registration(
    instance: ServiceInstance,
    *,
    tags: Sequence[str] = (),
    checks: Sequence[ServiceCheck | Mapping[str, object]] = (),
    ttl: float | None,
    deregister_after: float,
) -> dict[str, object]:
    """Return what registers an instance.

    Args:
        instance: The instance.
        tags: More tags.
        checks: Checks that the agent makes; mappings are taken as they are.
        ttl: Seconds that a heartbeat lasts; ``None`` for no heartbeat.
        deregister_after: Seconds after which a critical instance is removed.

    Raises:
        ValueError: Consul cannot hold the instance, or a check fits no endpoint of it.
    """
    _check_metadata(instance.metadata)
    endpoints = [Endpoint.parse(text) for text in instance.endpoints]
    expiry = {"DeregisterCriticalServiceAfter": go_duration(deregister_after)}
    made: list[dict[str, object]] = []
    for check in checks:
        if isinstance(check, Mapping):
            made.append(dict(check))
            continue
        fitting = [found for each in endpoints if (found := check.of(each)) is not None]
        if not fitting and not isinstance(check, TcpCheck):
            raise ValueError(f"{check} fits no endpoint of {instance}: {instance.endpoints}")
        made += [{**found, **expiry} for found in fitting]
    if ttl is not None:
        made.append({"CheckID": check_id(instance.id), "TTL": go_duration(ttl), **expiry})
    body: dict[str, object] = {
        "ID": instance.id,
        "Name": instance.name,
        "Tags": [f"{VERSION_TAG}{instance.version}", *tags],
        "TaggedAddresses": _tagged(endpoints),
        "Meta": dict(instance.metadata),
        "Checks": made,
    }
    if endpoints:
        body |= {"Address": endpoints[0].host, "Port": endpoints[0].port}
    return body


def is_same_service(found: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Tell whether a service that an agent has is the one that was registered."""
    same: bool = (
        found.get("Service") == body["Name"]
        and (found.get("Tags") or []) == body["Tags"]
        and (found.get("Meta") or {}) == body["Meta"]
        and _own(found.get("TaggedAddresses") or {}) == body["TaggedAddresses"]
    )
    return same


def decode_entry(entry: Mapping[str, Any], *, datacenter: str = "") -> ServiceInstance:
    """Read one entry of the health API.

    A service that does not come from Kratos has no endpoints; it is taken for one of HTTP.

    Args:
        entry: The entry.
        datacenter: What the metadata says under ``dc``; empty for nothing.

    Raises:
        ValueError: It cannot be read; the text says why.
    """
    service = _member(entry, "Service", dict)
    metadata = cast("dict[str, str]", _member(service, "Meta", dict))
    tags = cast("list[str]", _member(service, "Tags", list))
    address: str = _member(service, "Address", str)
    port: int = _member(service, "Port", int)
    tagged = _own(_member(service, "TaggedAddresses", dict))
    endpoints = [cast("str", _member(each, "Address", str)) for _, each in sorted(tagged.items())]
    endpoints.sort(key=lambda text: not _is_at(text, address, port))
    host = address or _member(_member(entry, "Node", dict), "Address", str)
    if not endpoints and host and port:
        endpoints = [f"http://{f'[{host}]' if ':' in host else host}:{port}"]
    versions = [tag.removeprefix(VERSION_TAG) for tag in tags if tag.startswith(VERSION_TAG)]
    return ServiceInstance(
        id=_member(service, "ID", str),
        name=_member(service, "Service", str),
        version=versions[-1] if versions else "",
        metadata={**metadata, "dc": datacenter} if datacenter else metadata,
        endpoints=tuple(endpoints),
    )


def _tagged(endpoints: Sequence[Endpoint]) -> dict[str, dict[str, object]]:
    """Return tagged addresses by scheme; Go keeps one of those that share it, we number them."""
    tagged: dict[str, dict[str, object]] = {}
    for endpoint in endpoints:
        key, number = endpoint.scheme, 1
        while key in tagged:
            number += 1
            key = f"{endpoint.scheme}-{number}"
        tagged[key] = {"Address": endpoint.text, "Port": endpoint.port}
    return tagged


def _own(tagged: Mapping[str, Any]) -> dict[str, Any]:
    return {key: address for key, address in tagged.items() if key not in _OF_CONSUL}


def _is_at(text: str, address: str, port: int) -> bool:
    try:
        endpoint = Endpoint.parse(text)
    except ValueError:
        return False
    return (endpoint.host, endpoint.port) == (address, port)


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > _MOST_PAIRS:
        raise ValueError(f"{len(metadata)} pairs of metadata: Consul takes {_MOST_PAIRS}")
    for key, value in metadata.items():
        if not _META_KEY.fullmatch(key):
            raise ValueError(
                f"metadata key {key!r}: Consul takes up to 128 letters, digits, '-' and '_'"
            )
        if len(value.encode()) > _LONGEST_VALUE:
            raise ValueError(
                f"metadata {key!r} has {len(value.encode())} bytes: Consul takes {_LONGEST_VALUE}"
            )


def _member(members: Mapping[str, Any], name: str, kind: type) -> Any:
    value = members.get(name)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be of {kind.__name__}, not {type(value).__name__}")
    return value
