"""Names of spans and of their attributes under the semantic conventions of today.

The core tells what it knows under the names of Go Kratos, which are those of the semantic
conventions 1.4.0; here they are translated.

Source: https://opentelemetry.io/docs/specs/semconv/ (HTTP spans, RPC spans; 1.40)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kratos.errors import to_grpc_code
from kratos.tracing import Attributes, AttributeValue
from kratos.transport import Side

__all__ = ["Current"]

_HTTP: Final = "http"
_STATUSES: Final = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)
_RENAMED: Final[Mapping[str, str]] = {
    "http.method": "http.request.method",
    "http.target": "url.path",
    "peer.service": "service.peer.name",
}
_PEER: Final[Mapping[str, tuple[str, ...]]] = {
    # By whether it is a server.
    "net.peer.ip": ("server.address", "client.address"),
    "net.peer.port": ("server.port", "client.port"),
}


@dataclass(frozen=True, slots=True)
class Current:
    """What calls of one kind of transport tell on one side.

    Attributes:
        http: Whether they are calls over HTTP; others are remote procedure calls.
        server: Whether this is the server's side.
    """

    http: bool
    server: bool

    @classmethod
    def of(cls, side: Side, told: Attributes, /) -> Current:
        """Return what fits a span that begins with some attributes."""
        return cls(http=told.get("rpc.system") == _HTTP, server=side is Side.SERVER)

    def name(self, operation: str, told: Attributes, /) -> str:
        """Return the name of a span: verb and template over HTTP, else service and method."""
        if self.http and "http.route" in told:
            return f"{told['http.method']} {told['http.route']}"
        return operation.removeprefix("/")

    def first(self, operation: str, told: Attributes, /) -> dict[str, AttributeValue]:
        """Return the attributes with which a span begins."""
        first: dict[str, AttributeValue] = {"rpc.method": operation.removeprefix("/")}
        if not self.http:
            first["rpc.system.name"] = told.get("rpc.system", "")
        for key, value in told.items():
            if not key.startswith("rpc."):
                first.update(self.translated(key, value))
        return first

    def translated(self, key: str, value: AttributeValue, /) -> dict[str, AttributeValue]:
        """Return what stands for an attribute of a call."""
        if key == "rpc.status_code":
            if self.http:
                return {"http.response.status_code": value}
            return {"rpc.response.status_code": _STATUSES[to_grpc_code(int(value))]}
        if key in _PEER:
            told = int(value) if key == "net.peer.port" else value
            found = {_PEER[key][self.server]: told}
            if self.server:
                found[key.replace("net.", "network.").replace(".ip", ".address")] = told
            return found
        return {_RENAMED.get(key, key): value}
