"""The labels of one pod, from their registration to their withdrawal."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from kratos.errors import RegistrationLost
from kratos.registry import Registration
from kratos_kubernetes.client import KubernetesClient
from kratos_kubernetes.failure import CONFLICT, MISSING, UNFIT, KubernetesUnavailable
from kratos_kubernetes.json_object import Object, part
from kratos_kubernetes.pods import BARRED, ID, INSTANCE, OWNER, withdrawn

__all__ = ["Publication"]

_TRIES: Final = 10  # somebody else, as the kubelet, may change the pod at the same moment


class Publication:
    """A ``kratos.registry.Registration``; it does not expire, and goes with its pod.

    Args:
        client: Whom it asks.
        path: Of the pod.
        labels: What it consists of, with the annotations.
        annotations: Among them its owner.

    Attributes:
        uid: Of the pod; empty before it is published.
    """

    ttl: float | None = None

    def __init__(
        self,
        client: KubernetesClient,
        path: str,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
    ) -> None:
        self._client = client
        self._path = path
        self._labels = labels
        self._annotations = annotations
        self._owner = annotations[OWNER]
        self._before = ""  # the version of the pod on which it was sent
        self.uid = ""

    @property
    def is_sent(self) -> bool:
        """Whether it may have been published, whatever was heard of that."""
        return bool(self._before)

    async def publish(self, *, uid: str) -> None:
        """Label the pod, in place of what it was labelled with before.

        It is done on the version of the pod that was read, so that ``undo`` can bar the way.

        Args:
            uid: Of the pod that it has to be; empty for whichever has the name.

        Raises:
            KubernetesUnavailable: The server did not answer, or refused, or it is another pod.
        """
        annotations = {**self._annotations, BARRED: None}
        for left in reversed(range(_TRIES)):
            meta = await self._meta()
            if uid and meta["uid"] != uid:
                text = f"pod {self._path} is another one by now, and not this program's"
                raise KubernetesUnavailable(f"{self._client}: {text}", code=UNFIT)
            self._before = meta["resourceVersion"]
            try:
                await self._change({"labels": self._labels, "annotations": annotations})
            except KubernetesUnavailable as error:
                if error.code == CONFLICT and left:
                    continue
                raise
            self.uid = meta["uid"]
            return

    async def renew(self) -> None:
        """Look whether it stands; see ``Registration``."""
        try:
            meta = await self._meta()
        except KubernetesUnavailable as error:
            if error.code == MISSING:
                raise self._gone("the pod is gone") from error
            raise
        if self.uid and meta["uid"] != self.uid:
            raise self._gone("the pod is another one by now")
        if not self._owns(meta) or not self._labels.items() <= part(meta, "labels").items():
            raise self._gone("its labels were changed, or belong to a later registration")

    async def lost(self) -> None:
        """Wait for ever: a watch of the one pod would cost more than looking does."""
        await asyncio.Event().wait()

    async def withdraw(self) -> None:
        """Take the labels off, unless they are a successor's by now; see ``Registration``."""
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

    async def undo(self) -> None:
        """Withdraw what may have been published, or be so yet: see to it that neither is the case.

        Whoever withdraws at once may overtake the registration, which would then stay for good. So
        the pod is changed, where nothing else has changed it: what was sent on its version before
        is refused from then on.

        Raises:
            KubernetesUnavailable: The server did not answer; it may still stand, or come.
        """
        while True:
            try:
                meta = await self._meta()
            except KubernetesUnavailable as error:
                if error.code == MISSING:
                    return None
                raise
            if self._owns(meta):
                return await self.withdraw()
            if meta["resourceVersion"] != self._before:
                return None
            try:
                return await self._change({"annotations": {BARRED: self._owner}})
            except KubernetesUnavailable as error:
                if error.code != CONFLICT:
                    raise

    async def _meta(self) -> Object:
        return part(await self._client.get(self._path), "metadata")

    async def _change(self, meta: Mapping[str, object]) -> None:
        """Change the pod, if it still is what it was."""
        body = {"metadata": {**meta, "resourceVersion": self._before}}
        await self._client.patch(self._path, body, kind="merge")

    def _owns(self, meta: Object) -> bool:
        return part(meta, "annotations").get(OWNER) == self._owner

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
    _registration: type[Registration] = Publication
