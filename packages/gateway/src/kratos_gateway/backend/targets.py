"""What the configuration calls a back end, understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kratos.errors import ConfigError
from kratos.selector import Node
from kratos_gateway.api.gateway_pb2 import GRPC, Backend, Endpoint, Protocol
from kratos_gateway.backend.probing import ProbePlan, plan_of
from kratos_gateway.targets import read_target

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
        share: Weight of all nodes that are looked up together; ``None`` for that of each.
        labels: What the metadata of nodes that are looked up must have.
        size: How many of these are used at most; 0 for all.
        http2: Whether its nodes are spoken to over HTTP/2, if they do not choose otherwise.
    """

    nodes: tuple[Node, ...]
    service: str
    secure: bool
    tls: str
    probe: ProbePlan | None = None
    share: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    size: int = 0
    http2: bool = False

    def __str__(self) -> str:
        """Name the service, and the labels that its instances have to have."""
        named = ", ".join(f"{name}={value}" for name, value in self.labels.items())
        return f"{self.service} with {named}" if named else self.service


def scheme_of(endpoint: Endpoint) -> str:
    """Return the scheme of instances that serve an endpoint.

    Raises:
        ConfigError: Its protocol is a number that stands for none.
    """
    if endpoint.protocol not in Protocol.values():
        raise ConfigError(f"protocol {endpoint.protocol} is none: write HTTP or GRPC")
    return "grpc" if endpoint.protocol == GRPC else "http"


def target_of(backend: Backend, *, scheme: str) -> BackendTarget:
    """Understand a back end.

    Raises:
        ConfigError: Its target is neither ``host:port`` nor ``direct:///host:port`` nor
            ``discovery:///service``, or its health check is none.
    """
    tls = backend.tls_config_name if backend.tls else ""
    try:
        given = read_target(backend.target, secure=backend.tls)
    except ConfigError as error:
        raise ConfigError(f"back end {backend.target!r}: {error}") from error
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
    if not given.service:
        return BackendTarget(nodes, "", backend.tls, tls, probe, http2=backend.http2)
    return BackendTarget(
        nodes,
        given.service,
        backend.tls,
        tls,
        probe,
        share=None if weight is None else max(0, weight),
        labels=dict(backend.labels),
        size=backend.subset_size,
        http2=backend.http2,
    )
