"""One published instance of a service (Go: registry.ServiceInstance)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

__all__ = ["ServiceInstance", "same_instances"]

# What encoding/json of Go escapes inside strings beyond what JSON asks for.
_GO_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)

_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (dict, "an object"),
    (list, "a list"),
    (str, "text"),
    (bool, "a boolean"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServiceInstance:
    """One running instance of a service, as registries hold it.

    Two instances are equal when all fields are; the order of endpoints does not matter. The
    text form is ``name-id``, by which subsets are chosen.

    Args:
        id: Unique per instance.
        name: Name of the service.
        version: Version of the service, may be empty.
        metadata: Texts by text. ``weight`` is a base-10 integer by convention.
        endpoints: ``scheme://host:port``, the scheme with an ``s`` at its end for TLS.
    """

    id: str
    name: str
    version: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    endpoints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "metadata", dict(self.metadata))
        object.__setattr__(self, "endpoints", tuple(self.endpoints))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServiceInstance):
            return NotImplemented
        return (
            self.id == other.id
            and self.name == other.name
            and self.version == other.version
            and self.metadata == other.metadata
            and sorted(self.endpoints) == sorted(other.endpoints)
        )

    def __hash__(self) -> int:
        return hash((self.id, self.name, self.version))

    def __str__(self) -> str:
        return f"{self.name}-{self.id}"

    def check(self) -> None:
        """Refuse what no registry can publish.

        Raises:
            ValueError: ``id`` or ``name`` is empty, or something is not valid Unicode text.
        """
        if not self.id or not self.name:
            raise ValueError(f"a service instance needs an id and a name: {self!r}")
        self.from_json(self.to_json())

    def to_json(self) -> bytes:
        """Return the instance as Go Kratos stores it: UTF-8 JSON, all members, in Go's order.

        Raises:
            ValueError: A text holds a lone surrogate, which UTF-8 cannot carry.
        """
        return encode_json(self.to_mapping())

    def to_mapping(self) -> dict[str, object]:
        """Return the JSON object of ``to_json``, metadata ordered by key."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "metadata": dict(sorted(self.metadata.items())),
            "endpoints": list(self.endpoints),
        }

    @classmethod
    def from_json(cls, data: bytes | str) -> ServiceInstance:
        """Read what ``to_json`` or Go wrote; null or missing members are empty, others ignored.

        Raises:
            ValueError: Not JSON, or a member has the wrong type; the text names it.
        """
        return cls.from_mapping(decode_json(data))

    @classmethod
    def from_mapping(cls, members: Mapping[str, object]) -> ServiceInstance:
        """Read the JSON object of ``to_mapping``.

        Raises:
            ValueError: A member has the wrong type; the text names it.
        """
        return cls(
            id=_text(members, "id"),
            name=_text(members, "name"),
            version=_text(members, "version"),
            metadata=_metadata(members.get("metadata")),
            endpoints=_endpoints(members.get("endpoints")),
        )


def same_instances(left: Sequence[ServiceInstance], right: Sequence[ServiceInstance]) -> bool:
    """Tell whether two lists hold equal instances, in whatever order."""
    return len(left) == len(right) and (left == right or Counter(left) == Counter(right))


def encode_json(members: Mapping[str, object]) -> bytes:
    """Return compact JSON with the escapes of Go's encoder."""
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.translate(_GO_ESCAPES).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text {error.object[error.start : error.end]!r} is not Unicode"
        ) from error


def decode_json(data: bytes | str) -> Mapping[str, object]:
    """Return the JSON object in ``data``.

    Raises:
        ValueError: It is no JSON, or no object.
    """
    try:
        members: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a service instance must be JSON: {error}") from error
    if not isinstance(members, dict):
        raise ValueError(f"a service instance must be a JSON object, not {_kind(members)}")
    return cast("dict[str, object]", members)


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"member {name!r} of a service instance must be text, not {_kind(value)}")
    return value


def _metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"member 'metadata' must be an object, not {_kind(value)}")
    members = cast("dict[str, object]", value)
    return {key: _text(members, key) for key in members}


def _endpoints(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f"member 'endpoints' must be a list, not {_kind(value)}")
    endpoints: list[str] = []
    for endpoint in cast("list[object]", value):
        if not isinstance(endpoint, str):
            raise ValueError(f"member 'endpoints' must hold texts, not {_kind(endpoint)}")
        endpoints.append(endpoint)
    return tuple(endpoints)


def _kind(value: object) -> str:
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "null" if value is None else "a number"
