"""Configuration on Nacos (Go: ``contrib/config/nacos``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Self, cast

from kratos.config import KeyValue, Source, format_of
from kratos.errors import ConfigError
from kratos.url import Options, Url
from kratos.watch import Versioned, Watcher
from kratos_nacos.client import NacosClient, client_of
from kratos_nacos.link import Link
from kratos_nacos.wire import MISSING, UNREACHABLE, Body, NacosUnavailable

__all__ = ["NacosSource"]

_GROUP: Final = "DEFAULT_GROUP"


class NacosSource:
    """Documents of Nacos as a source of configuration.

    The ending of a document's id is its format: json, yaml or yml, toml, xml, properties, env. One
    without an ending is one value, under its id. Later documents lie on top of earlier ones. One
    that is not there says nothing.

    Args:
        client: Whom it asks; it stays the caller's.
        data_ids: Id of the document, or a list of them.
        group: Of all of them.

    Raises:
        ConfigError: There is no id, or one is empty or given twice, or there is no group.
    """

    def __init__(
        self, client: NacosClient, data_ids: str | Sequence[str], *, group: str = _GROUP
    ) -> None:
        ids = (data_ids,) if isinstance(data_ids, str) else tuple(data_ids)
        if not ids or not all(ids) or len(set(ids)) < len(ids):
            raise ConfigError(f"data_ids={data_ids!r} must be ids of documents, each once")
        if not group:
            raise ConfigError("group is empty: give that of the documents, such as DEFAULT_GROUP")
        self._name = f"{client} {group} {','.join(ids)}"
        self._client: Callable[[], NacosClient] = lambda: client
        self._owned = False
        self._ids = ids
        self._group = group

    @classmethod
    def from_url(cls, url: Url) -> Self:
        """Make the source of a URL: ``nacos://host:port/namespace?data_id=orders.yaml&group=shop``.

        ``data_id`` may be repeated. Further options are those of the client in
        ``NacosRegistry.from_url``. Each watcher has a client of its own.

        Raises:
            ConfigError: The URL cannot be used.
        """
        options = Options(url)
        client = client_of(url, options)
        ids = options.texts("data_id")
        group = options.text("group", default=_GROUP)
        options.finish()
        source = cls(client, ids, group=group)
        source._client = lambda: client_of(url, Options(url))
        source._owned = True
        return source

    def __str__(self) -> str:
        return self._name

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Return a watcher of the documents; nothing is asked before its first read."""
        return _Documents(self._client(), self._ids, group=self._group, owned=self._owned)


class _Documents:
    """A ``kratos.watch.Watcher`` with a connection of its own.

    The token is what Nacos calls the state of each document, so that a wait begins with the
    question whether one has changed since.
    """

    def __init__(self, client: NacosClient, ids: Sequence[str], *, group: str, owned: bool) -> None:
        self._client = client
        self._ids = ids
        self._group = group
        self._owned = owned
        self._link: Link | None = None
        self._told = asyncio.Event()
        self._closed = False

    async def read(self) -> Versioned[tuple[KeyValue, ...]]:
        """Return the documents, in the order of their ids."""
        link = await self._connected()
        documents = [await self._document(link, id_) for id_ in self._ids]
        entries = tuple(
            KeyValue(key=id_, value=document["content"].encode(), format=format_of(id_))
            for id_, document in zip(self._ids, documents, strict=True)
            if document is not None
        )
        states = tuple("" if each is None else str(each.get("md5") or "") for each in documents)
        return Versioned(value=entries, token=states)

    async def changed(self, since: object, /) -> None:
        """Return when a document has changed: read again."""
        states = cast("tuple[str, ...]", since)
        link = await self._connected()
        self._told.clear()
        contexts = [
            {**self._place(id_), "md5": state} for id_, state in zip(self._ids, states, strict=True)
        ]
        listen = {"listen": True, "configListenContexts": contexts}
        answer = await link.ask("ConfigBatchListenRequest", listen)
        if not answer.get("changedConfigs"):
            await self._told.wait()
        self._check()

    async def aclose(self) -> None:
        """End a pending wait, and the connection."""
        self._closed = True
        self._told.set()
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()
        if self._owned:
            await self._client.aclose()

    async def _connected(self) -> Link:
        self._check()
        if self._link is None:
            link = await self._client.connect("config")
            for id_ in self._ids:
                place = self._client.config_namespace, self._group, id_
                link.hear(place, lambda _: self._told.set())
            self._link = link
            if self._closed:
                await self.aclose()
                self._check()
        return self._link

    async def _document(self, link: Link, id_: str) -> Body | None:
        try:
            document = await link.ask("ConfigQueryRequest", self._place(id_))
        except NacosUnavailable as error:
            if error.code == MISSING:
                return None
            raise
        if document.get("encryptedDataKey"):
            raise NacosUnavailable(
                f"{self._client} {id_}: it is encrypted by a plug-in of Nacos, which only its own "
                "client can undo"
            )
        if not isinstance(document.get("content"), str):
            raise NacosUnavailable(f"{self._client} {id_}: Nacos sends no content")
        return document

    def _place(self, id_: str) -> dict[str, str]:
        return {"dataId": id_, "group": self._group, "tenant": self._client.config_namespace}

    def _check(self) -> None:
        if self._closed:
            raise NacosUnavailable(f"{self._client}: the watcher is closed")
        if self._link is not None and self._link.over:
            raise NacosUnavailable(self._link.why, code=UNREACHABLE)


if TYPE_CHECKING:
    _source: type[Source] = NacosSource
