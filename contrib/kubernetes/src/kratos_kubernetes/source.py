"""Configuration from ConfigMaps and Secrets (Go: ``contrib/config/kubernetes``)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Self

from kratos.config import KeyValue, Source, format_of
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_kubernetes.client import (
    KubernetesClient,
    Selection,
    collection,
)
from kratos_kubernetes.json_object import Object
from kratos_kubernetes.objects import ObjectsWatcher
from kratos_kubernetes.urls import client_of, parts_of

__all__ = ["KubernetesSource"]

_EVERYWHERE: Final = "kube-root-ca.crt"  # a ConfigMap of each namespace, and nobody's settings


class KubernetesSource:
    """The data of ConfigMaps, or of Secrets, as a source of configuration.

    The ending of a key is its format: json, yaml or yml, toml, xml, properties, env. A key without
    an ending is one value, under that key. Later keys lie on top of earlier ones, in the order of
    the objects' names, and then of their own. An object that is not there says nothing.

    Args:
        client: Whom it asks; it stays the caller's.
        name: Of the one ConfigMap; empty for all that the selectors take.
        namespace: Where it is; ``*`` for all namespaces, empty for the client's.
        labels: Selector by labels, as ``app=orders,tier in (a,b)``; empty for all.
        fields: Selector by fields; empty for all.
        secrets: Whether it is Secrets that are read.

    Raises:
        ConfigError: ``namespace`` cannot be one.
    """

    def __init__(
        self,
        client: KubernetesClient,
        name: str = "",
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        secrets: bool = False,
    ) -> None:
        kind = "secrets" if secrets else "configmaps"
        namespace = namespace or client.namespace
        if name:
            fields = ",".join(filter(None, (f"metadata.name={name}", fields)))
        self._client: Callable[[], KubernetesClient] = lambda: client
        self._owned = False
        self._secrets = secrets
        self._selection = Selection(collection(namespace, kind), labels=labels, fields=fields)
        self._name = "/".join(filter(None, (str(client), namespace, kind, name)))

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the source of a URL: ``kubernetes:///shop/orders?secrets=true``.

        The path is the namespace and the name; further options are ``labels``, ``fields``,
        ``secrets`` and those of the client, see ``client_of``. Each watcher has a client of its
        own.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        make = client_of(url, options)
        labels, fields = (options.text(name, default="") for name in ("labels", "fields"))
        secrets = options.flag("secrets", default=False)
        options.finish()
        namespace, name = parts_of(url, 2)
        source = cls(
            make(), name, namespace=namespace, labels=labels, fields=fields, secrets=secrets
        )
        source._client = make
        source._owned = True
        return source

    def __str__(self) -> str:
        return self._name

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Return a watcher of the keys; nothing is asked before its first read."""
        return ObjectsWatcher(
            self._client(),
            self._selection,
            decode=self._decode,
            combine=_flat,
            owned=self._owned,
        )

    def _decode(self, found: Object) -> tuple[KeyValue, ...] | None:
        meta = found["metadata"]
        if meta["name"] == _EVERYWHERE:
            return None
        place = f"{meta['namespace']}/{meta['name']}"
        data: dict[str, str] = found.get("data") or {}
        return tuple(
            _entry(place, key, b64decode(text) if self._secrets else text.encode())
            for key, text in sorted(data.items())
        )


def _entry(place: str, key: str, value: bytes) -> KeyValue:
    form = format_of(key)
    if not form:
        return KeyValue(key=key, value=value)
    return KeyValue(key=f"{place}/{key}", value=value, format=form)


def _flat(objects: Iterable[tuple[KeyValue, ...]]) -> tuple[KeyValue, ...]:
    return tuple(entry for entries in objects for entry in entries)


if TYPE_CHECKING:
    _source: type[Source] = KubernetesSource
