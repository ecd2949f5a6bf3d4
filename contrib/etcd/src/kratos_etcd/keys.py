"""Keys that are kept up to date: what the registry and the source have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from kratos.watch import Versioned
from kratos_etcd import etcd_pb2 as pb
from kratos_etcd.client import EtcdClient
from kratos_etcd.rpc import RANGE, EtcdUnavailable
from kratos_etcd.stream import Watch

__all__ = ["KeysWatcher"]

T = TypeVar("T")

_DELETE: Final = pb.Event.DELETE


class KeysWatcher(Generic[T]):
    """A ``kratos.watch.Watcher`` of what is under a key, or under those before ``end``.

    All is read once; then each change alone comes over the wire and is decoded. A wait that broke
    off goes on at the revision that was reached.

    Args:
        client: Who is asked.
        key: The first key.
        end: Behind the last key; empty for the one key.
        decode: Returns what an entry says; ``None`` leaves it out.
        owned: Whether to close the client, too.
    """

    def __init__(
        self,
        client: EtcdClient,
        key: bytes,
        *,
        end: bytes = b"",
        decode: Callable[[pb.KeyValue], T | None],
        owned: bool = False,
    ) -> None:
        self._client = client
        self._key = key
        self._end = end
        self._decode = decode
        self._owned = owned
        self._held: dict[bytes, T] = {}
        self._revision = 0  # of the state
        self._reached = 0  # and what has been heard of beyond, without a change
        self._watch: Watch | None = None
        self._closed = False

    async def read(self) -> Versioned[tuple[T, ...]]:
        """Return everything, in the order of the keys."""
        self._check_open()
        self._end_watch()
        request = pb.RangeRequest(key=self._key, range_end=self._end)
        reply = await self._client.ask(RANGE, request)
        self._held = {}
        for entry in reply.kvs:
            self._put(entry)
        self._revision = self._reached = reply.header.revision
        return self._state()

    async def changed(self, since: object, /) -> Versioned[tuple[T, ...]] | None:
        """Return everything after the next change."""
        while self._revision == since:
            self._check_open()
            if self._watch is None:
                self._watch = await self._client.watch(
                    self._key, end=self._end, since=self._reached
                )
                self._check_open()
            try:
                response = await self._watch.next()
            except BaseException:
                self._end_watch()
                raise
            if response is None:
                return None
            self._apply(response)
        return self._state()

    async def aclose(self) -> None:
        """End a pending wait."""
        self._closed = True
        self._end_watch()
        if self._owned:
            await self._client.aclose()

    def _apply(self, response: pb.WatchResponse) -> None:
        for event in response.events:
            if event.type == _DELETE:
                self._held.pop(event.kv.key, None)
            else:
                self._put(event.kv)
            # Not that of the header: a server that catches up tells the past in parts.
            self._revision = self._reached = event.kv.mod_revision
        if not response.events:
            self._reached = response.header.revision

    def _put(self, entry: pb.KeyValue) -> None:
        decoded = self._decode(entry)
        if decoded is None:
            self._held.pop(entry.key, None)
        else:
            self._held[entry.key] = decoded

    def _state(self) -> Versioned[tuple[T, ...]]:
        value = tuple(self._held[key] for key in sorted(self._held))
        return Versioned(value=value, token=self._revision)

    def _end_watch(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def _check_open(self) -> None:
        if self._closed:
            self._end_watch()
            raise EtcdUnavailable(f"{self._client}: the watcher is closed")
