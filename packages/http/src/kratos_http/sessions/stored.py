"""Sessions whose values are in a store; the cookie holds a secret that leads there."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.store import Store
from kratos_http.sessions._middleware import SessionMiddleware
from kratos_http.sessions._session import Record, Session, pack, unpack
from kratos_http.sessions.options import SessionOptions

__all__ = ["StoredSessions"]

_LARGEST: Final = 64 * 1024
_PREFIX: Final = "session:"  # a store may have other uses
_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")  # 32 random bytes


class StoredSessions(SessionMiddleware):
    """A middleware: sessions in a store. They end when they are cleared, at once and everywhere.

    Of two requests of one session at the same time, the last one to end decides what is kept.
    A session that is not, or no longer, in the store is an empty one. A store that fails, fails
    the call.

    Args:
        store: Where they are kept, under digests of what is in the cookie: whoever reads it cannot
            take a session over.
        options: How long they live, and how their cookie is sent.
        max_size: Bytes of one session in JSON; a larger one fails its call.
        clock: Tells the time.

    Raises:
        ConfigError: The size is not positive.
    """

    def __init__(
        self,
        store: Store,
        *,
        options: SessionOptions | None = None,
        max_size: int = _LARGEST,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(options or SessionOptions(), clock)
        if max_size < 1:
            raise ConfigError(f"max_size of sessions must be positive, but is {max_size}")
        self._store = store
        self._max_size = max_size

    async def load(self, text: str, /) -> Record | None:
        """See ``SessionMiddleware``."""
        if not _ID.match(text):
            return None
        data = await self._store.get(_key(text))
        record = None if data is None else unpack(data)
        if record is not None:
            record.id = text
        return record

    async def save(self, session: Session, values: bytes, /) -> str:
        """See ``SessionMiddleware``.

        Raises:
            ValueError: It is too large.
        """
        if len(values) > self._max_size:
            raise ValueError(
                f"a session has {len(values)} bytes, and {self._max_size} are allowed: "
                "keep less in it, or raise max_size"
            )
        record = session.record
        if session.replaced and await self._store.get(_key(session.replaced)) is None:
            return ""  # another request has ended it meanwhile
        data = pack(record, values, name="")  # it would open the session for who reads the store
        if session.is_new or session.replaced:
            await self._store.set(_key(record.id), data, ttl=self._options.max_age)
            return record.id
        return record.id if await self._renew(_key(record.id), data) else ""

    async def _renew(self, key: str, data: bytes) -> bool:
        """Replace what a key has, and tell whether it had anything.

        A request that was under way must not bring back a session that another one has ended.
        """
        while (present := await self._store.get(key)) is not None:
            if await self._store.replace(key, data, expected=present, ttl=self._options.max_age):
                return True
        return False

    async def forget(self, name: str, /) -> None:
        """See ``SessionMiddleware``."""
        await self._store.delete(_key(name))


def _key(name: str) -> str:
    return f"{_PREFIX}{hashlib.sha256(name.encode()).hexdigest()}"
