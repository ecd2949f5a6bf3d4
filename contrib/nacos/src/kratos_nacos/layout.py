"""Entries of the registry, as Go Kratos has them: pure functions.

Each endpoint of an instance is an entry of its own, of the service ``<name>.<scheme>``, with
``kind`` and ``version`` in its metadata. Go loses the id of the instance on the way; here it is in
the metadata, too, and what belongs together is put together again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any, Final, TypeAlias, cast
from urllib.parse import urlsplit

from kratos.address import join_host_port, split_host_port
from kratos.registry import ServiceInstance
from kratos_nacos.wire import child

__all__ = ["Entry", "Reading", "entries_of", "instances_of", "newest", "services_of"]

Entry: TypeAlias = "dict[str, Any]"

_KIND: Final = "kind"
_VERSION: Final = "version"
_WEIGHT: Final = "weight"
_ID: Final = "kratos.id"
_SINCE: Final = "kratos.since"
_SCHEMES: Final = "kratos.schemes"
_ENDPOINT: Final = "kratos.endpoint"
_TAKEN: Final = (_KIND, _VERSION, _ID, _SINCE, _SCHEMES, _ENDPOINT)
_HEAVIEST: Final = 10_000.0  # Nacos refuses more
_ENDLESS: Final = 1e300  # as a weight; JSON may hold more than a float does


def services_of(name: str, schemes: Iterable[str]) -> tuple[str, ...]:
    """Return where the entries of a service are.

    The name alone is what others register, and what Go asks for: ``orders.grpc``.
    """
    return (name, *(f"{name}.{scheme}" for scheme in schemes))


def entries_of(
    instance: ServiceInstance, *, cluster: str, weight: float, since: int
) -> dict[str, list[Entry]]:
    """Return the entries of an instance, by service.

    Args:
        instance: The instance.
        cluster: Of all entries.
        weight: Where the metadata has none that Nacos takes.
        since: What tells a later publication of the same id from an earlier one.

    Raises:
        ValueError: Nacos has no place for it; the text says for what.
    """
    if "@@" in instance.name:
        raise ValueError(f"service name {instance.name!r} must not hold '@@' on Nacos")
    taken = sorted(instance.metadata.keys() & set(_TAKEN))
    if taken:
        raise ValueError(
            f"metadata {taken[0]!r} of {instance} is the registry's own on Nacos: rename it"
        )
    if not instance.endpoints:
        raise ValueError(f"{instance} has no endpoint, and Nacos holds nothing else")
    entries: dict[str, list[Entry]] = {}
    parts = [_parts(endpoint) for endpoint in instance.endpoints]
    schemes = ",".join(dict.fromkeys(scheme for scheme, _, _ in parts))
    for endpoint, (scheme, host, port) in zip(instance.endpoints, parts, strict=True):
        metadata = {
            **instance.metadata,
            _KIND: scheme,
            _VERSION: instance.version,
            _ID: instance.id,
            _SINCE: str(since),
            _SCHEMES: schemes,
        }
        if endpoint != f"{scheme}://{join_host_port(host, port)}":
            metadata[_ENDPOINT] = endpoint
        service = f"{instance.name}.{scheme}"
        entries.setdefault(service, []).append(
            {
                "ip": host,
                "port": port,
                "weight": _weight(instance.metadata, weight),
                "enabled": True,
                "healthy": True,
                "ephemeral": True,
                "clusterName": cluster,
                "serviceName": service,
                "metadata": metadata,
            }
        )
    return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How entries are read.

    Attributes:
        cluster: Entries of others are left out.
        kind: Scheme of entries that do not say theirs.
        weight: That of entries whose metadata has none, when it need not be told.
        skip: Is told of an entry that cannot be read, and where it is.
    """

    cluster: str
    kind: str
    weight: float
    skip: Callable[[str, ValueError], None]


def instances_of(
    name: str, listed: Mapping[str, Sequence[object]], how: Reading
) -> tuple[ServiceInstance, ...]:
    """Return the instances whose entries Nacos lists.

    While a process takes over the id of another one both have entries: the later publication
    counts.

    Args:
        name: Of the service, as it was asked for.
        listed: Entries by service.
        how: How they are read.
    """
    found: dict[str, list[_Found]] = {}
    for service, entries in listed.items():
        latest: dict[str, list[_Found]] = {}
        for entry in entries:
            try:
                one = _read(entry, how)
            except ValueError as error:
                how.skip(service, error)
                continue
            if one is None:
                continue
            others = latest.setdefault(one.id, [])
            if others and others[0].since != one.since:
                if others[0].since > one.since:
                    continue
                others.clear()
            others.append(one)
        for id_, entries_of_one in latest.items():
            found.setdefault(id_, []).extend(entries_of_one)
    return tuple(_instance(name, found[id_]) for id_ in sorted(found))


def newest(id_: str, entries: Iterable[object]) -> int:
    """Return since when the latest publication of an id is there; 0 if there is none."""
    members = (cast("Mapping[str, Any]", entry) for entry in entries if isinstance(entry, dict))
    metadata = [child(each, "metadata") for each in members]
    return max((_since(each) for each in metadata if each.get(_ID) == id_), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    id: str
    since: int
    version: str
    scheme: str
    schemes: str
    endpoint: str
    metadata: Mapping[str, str]


def _read(entry: object, how: Reading) -> _Found | None:
    members = _members(entry)
    host, port = members.get("ip"), members.get("port")
    cluster = members.get("clusterName") or "DEFAULT"
    metadata = child(members, "metadata")
    weight = members.get("weight", 1.0)
    if not isinstance(host, str) or not host or not isinstance(port, int) or isinstance(port, bool):
        raise ValueError(f"it has no address: {host!r}, {port!r}")
    if not isinstance(weight, int | float) or not abs(weight) < _ENDLESS:
        raise ValueError(f"{host}:{port} has a weight that is no number: {weight!r}")
    if members.get("healthy") is False or members.get("enabled") is False:
        return None
    if cluster != how.cluster:
        return None
    texts = {key: str(value) for key, value in metadata.items() if value is not None}
    own = {key: value for key, value in texts.items() if key not in _TAKEN}
    # An operator may have changed it, and other writers have no other place for it.
    if weight != _weight(own, how.weight):
        own[_WEIGHT] = str(ceil(weight))
    kind = texts.get(_KIND) or how.kind
    address = f"{kind}://{join_host_port(host, port)}"
    endpoint = texts.get(_ENDPOINT) if _ID in texts else None
    number = members.get("instanceId") or f"{host}#{port}#{cluster}#{members.get('serviceName')}"
    return _Found(
        id=texts.get(_ID) or str(number),
        since=_since(texts),
        version=texts.get(_VERSION, ""),
        scheme=kind,
        schemes=texts.get(_SCHEMES, kind),
        endpoint=endpoint or address,
        metadata=own,
    )


def _instance(name: str, entries: Sequence[_Found]) -> ServiceInstance:
    # While it is changed in place, its services change one after the other.
    latest = max(entries, key=lambda entry: entry.since)
    schemes = latest.schemes.split(",")
    endpoints = [entry.endpoint for entry in entries if entry.scheme in schemes]
    return ServiceInstance(
        id=latest.id,
        name=name,
        version=latest.version,
        metadata=latest.metadata,
        endpoints=tuple(dict.fromkeys(endpoints)),
    )


def _members(entry: object) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError(f"it is no object but {entry!r:.100}")
    return cast("Mapping[str, Any]", entry)


def _since(metadata: Mapping[str, Any]) -> int:
    text = str(metadata.get(_SINCE, ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


def _weight(metadata: Mapping[str, str], default: float) -> float:
    try:
        weight = float(metadata[_WEIGHT])
    except (KeyError, ValueError):
        return default
    return weight if isfinite(weight) and 0 <= weight <= _HEAVIEST else default


def _parts(endpoint: str) -> tuple[str, str, int]:
    scheme, _, rest = endpoint.partition("://")
    if not scheme or not rest:
        raise ValueError(f"endpoint {endpoint!r} must be scheme://host:port")
    try:
        # Whatever is before the host or behind the port has no place in an entry.
        host, port = split_host_port(urlsplit(f"//{rest}").netloc.rpartition("@")[2])
    except ValueError as error:
        raise ValueError(f"endpoint {endpoint!r}: {error}; write scheme://host:port") from error
    if not host or not port:
        raise ValueError(f"endpoint {endpoint!r} needs a host and a port: scheme://host:port")
    return scheme, host, port
