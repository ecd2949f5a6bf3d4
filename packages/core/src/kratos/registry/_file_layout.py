"""Layout of a file registry: pure functions over names and bytes.

``<root>/<service>/<id>.json``, both names escaped. A file holds the JSON of the instance with
two members more: ``ttl`` (seconds after which it is void unless touched; null or missing:
never) and ``owner`` (which publication it is). A file of the plain JSON, put there by hand, is
an instance for as long as it is there.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kratos.registry._instance import ServiceInstance, decode_json, encode_json

__all__ = [
    "HIDDEN",
    "SUFFIX",
    "Entry",
    "decode",
    "encode",
    "entry_path",
    "escape",
    "service_path",
]

SUFFIX: Final = ".json"
HIDDEN: Final = "."  # begins the names of temporary files

_PLAIN: Final = re.compile(rb"[a-z0-9_-]")
_LONGEST: Final = 200  # file systems take 255 bytes, suffix and temporary prefix included
_KEPT: Final = 120
_LONGEST_TTL: Final = 1e9  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Content of one file."""

    instance: ServiceInstance
    owner: str = ""
    ttl: float | None = None


def escape(name: str) -> str:
    """Return a file name for any text, different for different texts.

    Capitals are escaped too, as some file systems do not tell them from small letters; so are
    a leading dot, which hides, and everything with a meaning in a path. What gets too long ends
    in ``~`` and a hash.
    """
    escaped = "".join(
        chr(byte)
        if _PLAIN.match(bytes([byte])) or (byte == ord(".") and at > 0)
        else f"%{byte:02x}"
        for at, byte in enumerate(name.encode())
    )
    if len(escaped) <= _LONGEST:
        return escaped
    return f"{escaped[:_KEPT]}~{hashlib.sha256(name.encode()).hexdigest()}"


def service_path(root: Path, name: str) -> Path:
    """Return the directory of a service."""
    return root / escape(name)


def entry_path(root: Path, instance: ServiceInstance) -> Path:
    """Return the file of an instance."""
    return service_path(root, instance.name) / (escape(instance.id) + SUFFIX)


def encode(entry: Entry) -> bytes:
    """Return the content of a file."""
    members = entry.instance.to_mapping()
    return encode_json({**members, "ttl": entry.ttl, "owner": entry.owner})


def decode(data: bytes) -> Entry:
    """Read the content of a file.

    Raises:
        ValueError: It is not the JSON of an instance; the text says why.
    """
    members = decode_json(data)
    instance = ServiceInstance.from_mapping(members)
    if not instance.id or not instance.name:
        raise ValueError("a service instance needs an id and a name")
    ttl = _seconds(members.get("ttl"))
    owner = members.get("owner")
    return Entry(instance=instance, owner=owner if isinstance(owner, str) else "", ttl=ttl)


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST_TTL:
        return float(value)
    raise ValueError("member 'ttl' must be a positive number of seconds")
