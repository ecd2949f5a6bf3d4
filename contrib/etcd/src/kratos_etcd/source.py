"""Configuration on etcd (Go: ``contrib/config/etcd``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from kratos.config import KeyValue, Source, format_of
from kratos.errors import ConfigError
from kratos.url import Options, Url
from kratos.watch import Watcher
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.borrowed import Etcd3Client, adopted
from kratos_etcd.client import EtcdClient, client_of
from kratos_etcd.keys import KeysWatcher
from kratos_etcd.layout import end_of_prefix

__all__ = ["EtcdSource"]


class EtcdSource:
    """A key of etcd, or all keys with a prefix, as a source of configuration.

    The ending of a key is its format: json, yaml or yml, toml, xml, properties, env. A key without
    an ending is one value, under what comes behind the last slash of the path. Later keys lie on
    top of earlier ones, in the order of their bytes. A key that is not there says nothing.

    Args:
        client: Whom it asks; it stays the caller's. A client of the distribution etcd3 will do.
        path: The key, or the prefix; a slash at its end keeps ``/app2`` apart from ``/app``.
        prefix: Whether it is a prefix.

    Raises:
        ConfigError: ``path`` is empty, or ``client`` is no client of etcd.
    """

    def __init__(
        self, client: EtcdClient | Etcd3Client, path: str, *, prefix: bool = False
    ) -> None:
        if not path:
            raise ConfigError("path is empty: give the key, or the prefix, to read")
        used = adopted(client)
        self._name = f"{used}{'' if path.startswith('/') else '/'}{path}"
        self._client: Callable[[], EtcdClient] = lambda: adopted(client)
        self._owned = used is not client
        self._path = path
        self._prefix = prefix

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the source of a URL: ``etcd://host:port/config/app.yaml``.

        The path, with its slash, is the key, or with ``?prefix=true`` the prefix. Further options
        are those of ``EtcdRegistry.from_url`` without ``ttl``. Each watcher has a client of its
        own.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        client = client_of(url, options)
        prefix = options.flag("prefix", default=False)
        options.finish()
        source = cls(client, url.path, prefix=prefix)
        source._client = lambda: client_of(url, Options(url))
        source._owned = True
        return source

    def __str__(self) -> str:
        return self._name

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Return a watcher of the keys; nothing is asked before its first read."""
        key = self._path.encode()
        end = end_of_prefix(key) if self._prefix else b""
        return KeysWatcher(self._client(), key, end=end, decode=self._decode, owned=self._owned)

    def _decode(self, entry: pb.KeyValue) -> KeyValue:
        key = entry.key.decode("utf-8", "replace")
        format_ = format_of(key)
        if not format_:
            key = key[self._path.rfind("/") + 1 :]
        return KeyValue(key=key, value=entry.value, format=format_)


if TYPE_CHECKING:
    _source: type[Source] = EtcdSource
