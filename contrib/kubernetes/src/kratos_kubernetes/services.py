"""Discovery of the pods behind Services, which need not know of Kratos."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from kratos.address import join_host_port
from kratos.errors import ConfigError
from kratos.registry import Registration, Registry, ServiceInstance
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_kubernetes.client import (
    ALL,
    KubernetesClient,
    Selection,
    collection,
)
from kratos_kubernetes.json_object import Object, part, parts
from kratos_kubernetes.objects import ObjectsWatcher
from kratos_kubernetes.pods import require_label
from kratos_kubernetes.urls import client_of, parts_of

__all__ = ["KubernetesServices", "decode", "instances_of"]

_API: Final = "/apis/discovery.k8s.io/v1"
_SERVICE: Final = "kubernetes.io/service-name"


class KubernetesServices:
    """Discovery over EndpointSlices: the instances of a service are the pods of its Service.

    ``orders`` is the Service of that name, ``orders.shop`` the one in the namespace ``shop``. The
    scheme of an endpoint is its port's name up to a hyphen, ``grpc`` or ``http-api`` for
    instance, else its ``appProtocol``. What is listed is ready; if nothing is, what still serves
    while it ends.

    Registering does nothing: the cluster itself publishes the pods that a Service selects.

    Args:
        client: Whom it asks; it stays the caller's.
        namespace: Where services are looked for; empty for the client's.

    Raises:
        ConfigError: ``namespace`` is none, or ``*``: services of one name would become one.
    """

    def __init__(self, client: KubernetesClient, *, namespace: str = "") -> None:
        if namespace == ALL:
            raise ConfigError("services have one namespace: ask for orders.shop, in that of shop")
        self._client = client
        self._namespace = namespace or client.namespace
        collection(self._namespace, "endpointslices", api=_API)  # which says what is wrong
        self._owned = False

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the discovery of a URL: ``kubernetes-services:///shop``.

        The path is the namespace; options are those of the client, see ``client_of``.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        make = client_of(url, options)
        options.finish()
        (namespace,) = parts_of(url, 1)
        services = cls(make(), namespace=namespace)
        services._owned = True
        return services

    def __str__(self) -> str:
        return f"{self._client}/{self._namespace} (services)"

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Do nothing; see above."""
        instance.check()
        return _Unneeded()

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Return a watcher of a service; nothing is asked before its first read.

        Raises:
            ValueError: No Service has such a name.
        """
        service, dot, namespace = name.partition(".")
        require_label("service name", service)
        if namespace == ALL:
            raise ValueError(f"service name {name!r}: services of all namespaces would be one")
        if dot:
            require_label("namespace", namespace)  # it may be input, and becomes part of a path
        path = collection(namespace or self._namespace, "endpointslices", api=_API)
        return ObjectsWatcher(
            self._client,
            Selection(path, labels=f"{_SERVICE}={service}"),
            decode=decode,
            combine=partial(instances_of, name),
        )

    async def aclose(self) -> None:
        """Close the client if this was made by ``from_url``; idempotent."""
        if self._owned:
            await self._client.aclose()


class _Unneeded:
    """What the cluster does by itself."""

    ttl: float | None = None

    async def renew(self) -> None:
        return

    async def lost(self) -> None:
        await asyncio.Event().wait()

    async def withdraw(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Entry:
    """What one slice says of one instance; of two addresses there are two slices."""

    id: str
    ready: bool
    lingers: bool  # serves to its end
    endpoints: tuple[str, ...]
    metadata: tuple[tuple[str, str], ...]


def decode(found: Object) -> tuple[Entry, ...]:
    """Return what a slice says."""
    ports = parts(found, "ports")
    return tuple(_entry(one, ports) for one in parts(found, "endpoints"))


def instances_of(name: str, slices: Iterable[tuple[Entry, ...]]) -> tuple[ServiceInstance, ...]:
    """Return the instances of a service, in the order in which they are found."""
    found = [entry for one in slices for entry in one]
    chosen = [one for one in found if one.ready] or [one for one in found if one.lingers]
    by_id: dict[str, list[Entry]] = {}
    for entry in chosen:
        by_id.setdefault(entry.id, []).append(entry)
    return tuple(
        ServiceInstance(
            id=one,
            name=name,
            metadata=dict(same[0].metadata),
            # While it moves from one slice to another, it is in both.
            endpoints=tuple(dict.fromkeys(each for entry in same for each in entry.endpoints)),
        )
        for one, same in by_id.items()
    )


def _entry(endpoint: Object, ports: Sequence[Object]) -> Entry:
    conditions = part(endpoint, "conditions")
    ready = conditions.get("ready") is not False  # unknown is ready
    serving = conditions.get("serving", ready)
    host: str = endpoint["addresses"][0]  # the others are its equals, and no longer used
    places = {"node": endpoint.get("nodeName"), "zone": endpoint.get("zone")}
    return Entry(
        id=part(endpoint, "targetRef").get("name") or host,
        ready=ready,
        lingers=bool(serving and conditions.get("terminating")),
        endpoints=tuple(
            f"{_scheme(port)}://{join_host_port(host, port['port'])}"
            for port in ports
            if port.get("port")
        ),
        metadata=tuple((key, value) for key, value in places.items() if value),
    )


def _scheme(port: Object) -> str:
    named = (port.get("name") or "").partition("-")[0]
    spoken = (port.get("appProtocol") or "").rpartition("/")[2]
    return named or spoken or port.get("protocol") or "TCP"


if TYPE_CHECKING:
    _registry: type[Registry] = KubernetesServices
