"""A registry on pods, which services of Go Kratos share (Go: ``contrib/registry/kubernetes``)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from kratos.errors import ConfigError
from kratos.registry import Registration, Registry, ServiceInstance, Skips, Undoing
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_kubernetes.client import (
    KubernetesClient,
    Selection,
    collection,
)
from kratos_kubernetes.failure import MISSING, KubernetesUnavailable
from kratos_kubernetes.json_object import Object, part
from kratos_kubernetes.objects import ObjectsWatcher
from kratos_kubernetes.pods import (
    APP,
    instance_of,
    is_ready,
    published,
    require_label,
)
from kratos_kubernetes.publication import Publication
from kratos_kubernetes.urls import client_of, parts_of

__all__ = ["KubernetesRegistry"]

_POD: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


class KubernetesRegistry:
    """Registrar and discovery over labels and annotations of pods, in the layout of Go Kratos.

    An instance is the pod that registers it, so a pod is one instance.

    Args:
        client: Whom it asks; it stays the caller's.
        namespace: Where services are looked for; ``*`` for all namespaces, empty for the
            client's.
        pod: Name of this pod; empty for the environment variable ``POD_NAME``, else ``HOSTNAME``.
        pod_namespace: Its namespace; empty for ``POD_NAMESPACE``, else the client's.
        ready: Whether to list only pods that are ready and not on their way out. Go lists all
            that run.
    """

    def __init__(
        self,
        client: KubernetesClient,
        *,
        namespace: str = "",
        pod: str = "",
        pod_namespace: str = "",
        ready: bool = True,
    ) -> None:
        self._client = client
        self._namespace = namespace or client.namespace
        self._pods = collection(self._namespace, "pods")
        self._pod = pod
        self._pod_namespace = pod_namespace
        self._ready = ready
        self._uid = os.environ.get("POD_UID", "") if not pod else ""
        self._skips = Skips()
        self._undoing = Undoing(str(self))
        self._owned = False

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the registry of a URL: ``kubernetes:///shop``.

        The path is the namespace. Further options are ``pod``, ``pod_namespace``, ``ready`` and
        those of the client; see ``client_of``.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        make = client_of(url, options)
        pod = options.text("pod", default="")
        pod_namespace = options.text("pod_namespace", default="")
        ready = options.flag("ready", default=True)
        options.finish()
        (namespace,) = parts_of(url, 1)
        registry = cls(
            make(), namespace=namespace, pod=pod, pod_namespace=pod_namespace, ready=ready
        )
        registry._owned = True
        return registry

    def __str__(self) -> str:
        return f"{self._client}/{self._namespace}"

    @property
    def skipped(self) -> int:
        """How many different pods could not be decoded so far."""
        return self._skips.count

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Label this pod; what it was labelled with before is replaced.

        Raises:
            ConfigError: Nobody says which pod this is, or it is named as none can be.

        Cancellation: what may have been published is taken back, and cannot come any more. That
        takes a second at most; a server that does not answer within it is asked further in the
        background, for a minute, and ``aclose`` asks it once more. Likewise if the answer is lost.
        """
        instance.check()
        owner = uuid4().hex
        labels, annotations = published(instance, owner)
        path = self._own_path()
        publication = Publication(self._client, path, labels, annotations)
        try:
            await publication.publish(uid=self._uid)
        except KubernetesUnavailable as error:
            if publication.is_sent and not error.is_refusal:
                await self._undoing.take_back(f"{path} ({owner})", publication.undo)
            raise self._explained(error, path) from error
        except asyncio.CancelledError:
            if publication.is_sent:
                await self._undoing.take_back(f"{path} ({owner})", publication.undo)
            raise
        self._uid = publication.uid
        return publication

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Return a watcher of a service; nothing is asked before its first read.

        Raises:
            ValueError: No service has such a name, as it cannot be a label.
        """
        require_label("service name", name)
        selection = Selection(self._pods, labels=f"{APP}={name}")
        return ObjectsWatcher(self._client, selection, decode=self._decode, combine=tuple)

    async def aclose(self) -> None:
        """Take back what was given up, and close the client of ``from_url``; idempotent."""
        await self._undoing.aclose()
        if self._owned:
            await self._client.aclose()

    def _decode(self, pod: Object) -> ServiceInstance | None:
        if self._ready and not is_ready(pod):
            return None
        try:
            return instance_of(pod)
        except ValueError as error:
            meta = pod["metadata"]
            place = f"{self._client} pod {meta['namespace']}/{meta['name']}"
            version = str(sorted(part(meta, "annotations").items()))
            self._skips.skip(place, error, version=version)
            return None

    def _own_path(self) -> str:
        pod = self._pod or os.environ.get("POD_NAME") or os.environ.get("HOSTNAME")
        if not pod:
            raise ConfigError(
                f"{self}: which pod is this? Set POD_NAME by the downward API, or pass pod="
            )
        if not _POD.fullmatch(pod):  # it is a part of a path
            raise ConfigError(f"{self}: {pod!r} cannot be the name of a pod; set POD_NAME, or pod=")
        space = self._pod_namespace or os.environ.get("POD_NAMESPACE") or self._client.namespace
        return f"{collection(space, 'pods')}/{pod}"

    def _explained(self, error: KubernetesUnavailable, path: str) -> KubernetesUnavailable:
        if error.code != MISSING:
            return error
        hint = "set POD_NAME and POD_NAMESPACE by the downward API"
        return KubernetesUnavailable(f"{self._client} has no pod {path}: {hint}", code=error.code)


if TYPE_CHECKING:
    _registry: type[Registry] = KubernetesRegistry
