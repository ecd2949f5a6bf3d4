"""The children of a node and their data, read again only as far as they changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from kratos.watch import Versioned
from kratos_zookeeper.clients import kazoo
from kratos_zookeeper.connection import Connection
from kratos_zookeeper.session import Session

__all__ = ["Folder"]

T = TypeVar("T")

_OWN: Final = ""  # in place of the name of a child: the node itself


class Folder(Generic[T]):
    """A ``kratos.watch.Watcher`` of what the children of a node hold.

    Watches of ZooKeeper fire once, and are lost with the connection. So each read sets those that
    fired, and a lost connection ends the watcher.

    Args:
        connection: The way to ZooKeeper.
        path: The node; it need not exist.
        decode: Makes a value of the name and data of a child; ``None`` to leave it out. The third
            argument is the version of the data.
        own: Whether the data of the node itself counts, too, under its own name.
        owned: Whether to close the connection, too.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        decode: Callable[[str, bytes, object], T | None],
        *,
        own: bool = False,
        owned: bool = False,
    ) -> None:
        self._connection = connection
        self._owned = owned
        self._path = path
        self._decode = decode
        self._own = own
        self._session: Session | None = None
        self._unhear: Callable[[], None] | None = None
        self._known: dict[str, T | None] = {}
        self._touched: set[str] = set()
        self._revision = 0
        self._moved = asyncio.Event()
        self._ended = ""

    async def read(self) -> Versioned[Sequence[T]]:
        """See ``Watcher``."""
        async with self._connection.asking(f"read {self._path}", self._session) as session:
            self._check()
            if self._session is None:
                self._session = session
                self._unhear = session.hear(self._path, self._heard)
            revision = self._revision
            known = await self._learn(session, await self._names(session))
        values = (known[name] for name in sorted(known))
        return Versioned(value=tuple(one for one in values if one is not None), token=revision)

    async def changed(self, since: object, /) -> Versioned[Sequence[T]] | None:
        """See ``Watcher``."""
        while True:
            self._check()
            if self._revision != since:
                return None
            self._moved.clear()
            await self._moved.wait()

    async def aclose(self) -> None:
        """See ``Watcher``."""
        self._end("is closed")
        if self._owned:
            await self._connection.aclose()

    async def _names(self, session: Session) -> list[str]:
        """Return the names of the children; none if the node is not there."""
        errors = kazoo("exceptions")
        while True:
            try:
                names = await session.send("get_children_async", self._path, watch=session.watch)
            except errors.NoNodeError:
                if await session.send("exists_async", self._path, watch=session.watch) is None:
                    return []
            else:
                return [_OWN, *names] if self._own else list(names)

    async def _learn(self, session: Session, names: Sequence[str]) -> dict[str, T | None]:
        """Return what children hold, and get what is not known of it."""
        errors = kazoo("exceptions")
        known = {name: self._known[name] for name in names if name in self._known}
        missing = [name for name in names if name not in known]
        self._touched.clear()
        sent = [
            (name, session.send("get_async", self._child(name), watch=session.watch))
            for name in missing
        ]
        for name, future in sent:
            try:
                data, stat = await future
            except errors.NoNodeError:
                continue  # gone since the names were read, of which a watch tells
            known[name] = self._decode(
                name or self._path.rpartition("/")[2], data or b"", (stat.czxid, stat.mzxid)
            )
        # An event may have come before the answer that it is about: it is read again.
        self._known = {name: one for name, one in known.items() if name not in self._touched}
        return known

    def _child(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def _heard(self, path: str | None) -> None:
        if path is None:
            self._end("has lost its connection, and with it its watches")
            return
        name = path[len(self._path) + 1 :]
        self._touched.add(name)
        self._known.pop(name, None)
        self._revision += 1
        self._moved.set()

    def _check(self) -> None:
        if self._ended:
            raise self._connection.error(f"the watcher of {self._path} {self._ended}")

    def _end(self, reason: str) -> None:
        self._ended = self._ended or reason
        if self._unhear is not None:
            self._unhear()
            self._unhear = None
        self._moved.set()
