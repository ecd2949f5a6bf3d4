"""A registry on pods, which services of Go Kratos share (Go: ``contrib/registry/kubernetes``)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from kratos.clock import SYSTEM_CLOCK
from kratos.errors import ConfigError, RegistrationLost
from kratos.limit import shielded
from kratos.registry import Registration, Registry, ServiceInstance, Skips
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_kubernetes.client import (
    KubernetesClient,
    Selection,
    collection,
)
from kratos_kubernetes.failure import MISSING, UNFIT, KubernetesUnavailable
from kratos_kubernetes.json_object import Object, part
from kratos_kubernetes.objects import ObjectsWatcher
from kratos_kubernetes.pods import (
    APP,
    ID,
    INSTANCE,
    OWNER,
    instance_of,
    is_ready,
    published,
    require_label,
    withdrawn,
)
from kratos_kubernetes.urls import client_of, parts_of

__all__ = ["KubernetesRegistry"]

_CLEANUP: Final = 1.0  # seconds
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
        """
        instance.check()
        owner = uuid4().hex
        labels, annotations = published(instance, owner)
        path = self._own_path()
        publication = _Publication(self._client, path, labels, owner)
        meta: dict[str, object] = {"labels": labels, "annotations": annotations}
        if self._uid:  # a pod of a StatefulSet that comes back under the same name is another one
            meta["uid"] = self._uid
        try:
            pod = await self._client.patch(path, {"metadata": meta}, kind="merge")
        except KubernetesUnavailable as error:
            raise self._explained(error, path) from error
        except asyncio.CancelledError:
            with suppress(KubernetesUnavailable, TimeoutError):
                await shielded(publication.withdraw(), clock=SYSTEM_CLOCK, timeout=_CLEANUP)
            raise
        self._uid = publication.uid = pod["metadata"]["uid"]
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
        """Close the client if the registry was made by ``from_url``; idempotent."""
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
        if error.code == MISSING:
            text = (
                f"{self._client} has no pod {path}: set POD_NAME and POD_NAMESPACE by the "
                "downward API"
            )
        elif error.code == UNFIT and "metadata.uid" in str(error):
            text = f"{self._client}: pod {path} is another one by now, and not this program's"
        else:
            return error
        return KubernetesUnavailable(text, code=error.code)


class _Publication:
    """The labels of one pod; they do not expire, and go with their pod."""

    ttl: float | None = None

    def __init__(
        self, client: KubernetesClient, path: str, labels: Mapping[str, str], owner: str
    ) -> None:
        self._client = client
        self._path = path
        self._labels = labels
        self._owner = owner
        self.uid = ""

    async def renew(self) -> None:
        try:
            meta = (await self._client.get(self._path))["metadata"]
        except KubernetesUnavailable as error:
            if error.code == MISSING:
                raise self._gone("the pod is gone") from error
            raise
        if self.uid and meta["uid"] != self.uid:
            raise self._gone("the pod is another one by now")
        owner = part(meta, "annotations").get(OWNER)
        if owner != self._owner or not self._labels.items() <= part(meta, "labels").items():
            raise self._gone("its labels were changed, or belong to a later registration")

    async def lost(self) -> None:
        await asyncio.Event().wait()  # a watch of the one pod would cost more than looking does

    async def withdraw(self) -> None:
        labels, annotations = withdrawn()
        # Tests compare JSON as it is written, so they are of what has one way to be written. Go
        # leaves the owner as it was, but not the id.
        changes = [
            _change("test", f"labels/{ID}", self._labels[ID]),
            _change("test", f"annotations/{OWNER}", self._owner),
            *(_change("add", f"labels/{name}", text) for name, text in labels.items()),
            *(_change("add", f"annotations/{name}", text) for name, text in annotations.items()),
            _change("add", f"annotations/{INSTANCE}", ""),  # only what is there can be removed
            _change("remove", f"annotations/{INSTANCE}"),
            _change("remove", f"annotations/{OWNER}"),
        ]
        try:
            await self._client.patch(self._path, changes, kind="json")
        except KubernetesUnavailable as error:
            if error.code == MISSING or (error.code == UNFIT and await self._is_lost()):
                return
            raise

    async def _is_lost(self) -> bool:
        """Tell whether the pod belongs to a successor."""
        try:
            await self.renew()
        except RegistrationLost:
            return True
        return False

    def _gone(self, why: str) -> RegistrationLost:
        return RegistrationLost(f"{self._path} on {self._client}: {why}")


def _change(operation: str, path: str, text: str = "") -> dict[str, str]:
    return {"op": operation, "path": f"/metadata/{path}", "value": text}


if TYPE_CHECKING:
    _registry: type[Registry] = KubernetesRegistry
