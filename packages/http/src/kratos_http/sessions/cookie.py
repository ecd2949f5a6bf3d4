"""Sessions whose values are in the cookie itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos_http.sessions._middleware import SessionMiddleware
from kratos_http.sessions._sealing import Encrypting, Sealing, Signing
from kratos_http.sessions._session import Record, Session, pack, unpack
from kratos_http.sessions.options import SessionOptions

__all__ = ["CookieSessions"]

_LARGEST: Final = 4000  # browsers drop what exceeds 4096 bytes with the cookie's name


class CookieSessions(SessionMiddleware):
    """A middleware: sessions in signed cookies, which need no store.

    Everybody can read what is only signed; ``encrypt`` hides it. Nothing can take a copy of a
    cookie back: what must end at once when somebody logs out belongs into ``StoredSessions``.
    A cookie that is flawed, expired or of an unknown key is an empty session.

    Args:
        keys: Secrets of 32 bytes or more, as text or bytes. The first one signs, all are
            accepted: put a new one first, and drop the old one when ``max_age`` has passed.
        encrypt: Whether the values are hidden from who has the cookie; needs
            ``kratos-http[sessions]``.
        options: How long they live, and how their cookie is sent.
        max_size: Bytes of the cookie's value; a larger session fails its call.
        clock: Tells the time.

    Raises:
        ConfigError: There is no key, one is too short, the size is not positive, or what
            encrypts is not installed.
    """

    def __init__(
        self,
        keys: Sequence[str | bytes],
        *,
        encrypt: bool = False,
        options: SessionOptions | None = None,
        max_size: int = _LARGEST,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        options = options or SessionOptions()
        super().__init__(options, clock)
        if max_size < 1:
            raise ConfigError(f"max_size of sessions must be positive, but is {max_size}")
        kind = Encrypting if encrypt else Signing
        self._sealing: Sealing = kind(keys, options.name)
        self._max_size = max_size

    async def load(self, text: str, /) -> Record | None:
        """See ``SessionMiddleware``."""
        opened = self._sealing.open(text) if len(text) <= self._max_size else None
        return None if opened is None else unpack(opened[0], outdated=not opened[1])

    async def save(self, session: Session, values: bytes, /) -> str:
        """See ``SessionMiddleware``.

        Raises:
            ValueError: The cookie would be too large.
        """
        record = session.record
        text = self._sealing.seal(pack(record, values, name=record.id))
        if len(text) > self._max_size:
            raise ValueError(
                f"a session takes {len(text)} bytes of a cookie, and {self._max_size} are allowed: "
                "keep less in it, or keep it in a store (StoredSessions)"
            )
        return text

    async def forget(self, name: str, /) -> None:
        """See ``SessionMiddleware``; there is nothing to forget."""
