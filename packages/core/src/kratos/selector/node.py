"""One address that serves a service, and sets of them (Go: selector.Node)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from kratos.registry import ServiceInstance
    from kratos.transport import Call

__all__ = ["NO_NODES", "Node", "NodeFilter", "NodeSet"]

_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One address that serves a service.

    Attributes:
        scheme: Endpoint scheme without TLS: ``http`` or ``grpc``.
        address: ``host:port``, or ``unix:/path``; unique within a set.
        secure: Whether it is reached with TLS.
        name: Name of the service, empty when no registry told it.
        id: Id of the instance, empty when no registry told it.
        version: Version of the instance.
        weight: Published weight; ``None`` for none.
        metadata: Metadata of the instance.
    """

    scheme: str
    address: str
    secure: bool = False
    name: str = ""
    id: str = ""
    version: str = ""
    weight: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    @classmethod
    def of(
        cls, instance: ServiceInstance, *, scheme: str, address: str, secure: bool = False
    ) -> Node:
        """Return the node of a registered instance at one of its endpoints.

        The weight is the integer in the metadata's ``weight``; other text is no weight.
        """
        metadata = instance.metadata
        return cls(
            scheme=scheme,
            address=address,
            secure=secure,
            name=instance.name,
            id=instance.id,
            version=instance.version,
            weight=_weight(metadata.get("weight")),
            metadata=metadata,
        )

    @property
    def unix_path(self) -> str | None:
        """Path of a Unix socket; ``None`` for a network address."""
        return self.address[len(_UNIX) :] if self.address.startswith(_UNIX) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSet:
    """The nodes of a target at one moment.

    Attributes:
        nodes: In the registry's order; no address twice.
        revision: Grows with every change; 0 before the first set.
        stale_since: Monotonic seconds (``Clock.time()``) since which ``nodes`` may be out of
            date, because the registry is away or lists nothing usable; ``None`` when fresh.
    """

    nodes: tuple[Node, ...] = ()
    revision: int = 0
    stale_since: float | None = None


NO_NODES: Final = NodeSet()

NodeFilter: TypeAlias = "Callable[[Call, Sequence[Node]], Sequence[Node]]"


def _weight(text: str | None) -> int | None:
    """Read a base-10 integer as Go's ``strconv.ParseInt`` does: no blanks, no underscores."""
    if text is None or not text.isascii():
        return None
    digits = text[1:] if text[:1] in ("-", "+") else text
    # 19 digits hold every 64-bit integer, and keep a hostile text from costing time.
    if not digits.isdigit() or len(digits.lstrip("0")) > 19:
        return None
    value = int(text)
    return value if -(1 << 63) <= value < 1 << 63 else None
