"""What the configuration calls a back end, understood."""

from __future__ import annotations

from dataclasses import dataclass

from kratos.client import Target
from kratos.errors import ConfigError, TargetError
from kratos.selector import Node
from kratos_gateway.api.gateway_pb2 import GRPC, Backend, Endpoint
from kratos_gateway.backend.probing import ProbePlan, plan_of

__all__ = ["BackendTarget", "scheme_of", "target_of"]


@dataclass(frozen=True, slots=True)
class BackendTarget:
    """A back end.

    Attributes:
        nodes: Those that the configuration names.
        service: What is looked up in a registry; empty for nothing.
        secure: Whether its nodes speak TLS.
        tls: Name of the TLS configuration; empty for the system's.
        probe: How its nodes are asked whether they are well; ``None`` for not at all.
    """

    nodes: tuple[Node, ...]
    service: str
    secure: bool
    tls: str
    probe: ProbePlan | None = None


def scheme_of(endpoint: Endpoint) -> str:
    """Return the scheme of instances that serve an endpoint."""
    return "grpc" if endpoint.protocol == GRPC else "http"


def target_of(backend: Backend, *, scheme: str) -> BackendTarget:
    """Understand a back end.

    Raises:
        ConfigError: Its target is neither ``host:port`` nor ``direct:///host:port`` nor
            ``discovery:///service``, or its health check is none.
    """
    text = backend.target
    tls = backend.tls_config_name if backend.tls else ""
    try:
        given = Target.parse(_completed(text, secure=backend.tls))
    except TargetError as error:
        raise ConfigError(
            f"back end {text!r}: {error}; write host:port or discovery:///service"
        ) from error
    if given.scheme is not None or text.startswith("unix:"):
        raise ConfigError(f"back end {text!r}: write host:port or discovery:///service")
    weight = backend.weight if backend.HasField("weight") else None
    nodes = tuple(
        Node(
            scheme=scheme,
            address=address,
            secure=backend.tls,
            weight=weight,
            metadata=dict(backend.metadata),
        )
        for address in given.addresses
    )
    probe = plan_of(backend, grpc=scheme == "grpc")
    return BackendTarget(nodes, given.service, backend.tls, tls, probe)


def _completed(text: str, *, secure: bool) -> str:
    """Return a target with the usual port if it has none, as in Go; text in a scheme as it is."""
    scheme, found, rest = text.partition("://")
    if found and scheme == "discovery":
        return f"discovery:///{rest.partition('/')[2]}"  # an authority is nothing here
    if found and scheme != "direct":
        return text
    address = rest.removeprefix("/") if found else text
    last = address.rpartition("]")[2]
    if address and "," not in address and ":" not in last:
        address = f"{address}:{443 if secure else 80}"
    return f"direct:///{address}" if found else address
