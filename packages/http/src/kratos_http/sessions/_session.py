"""One session, as handlers see it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

__all__ = ["CURRENT", "Record", "Session", "current_session", "dump", "pack", "unpack"]

_LATEST: Final = 253_402_300_799  # the end of the year 9999, in seconds since the epoch
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@dataclass(slots=True, kw_only=True)
class Record:
    """What is kept of a session between requests.

    Attributes:
        id: Names it; a secret where it leads to the values. Empty until somebody asks.
        created: When it began, in seconds since the epoch.
        renewed: When its cookie was sent last, in seconds since the epoch.
        values: What handlers put into it.
        outdated: Whether it is to be written anew, because its key is no longer the first.
    """

    id: str = ""
    created: float
    renewed: float
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    outdated: bool = False


class Session(MutableMapping[str, Any]):
    """Values by name, each of what JSON has: texts, numbers, booleans, lists, dictionaries, null.

    It is written when it has changed, also inside of a list or dictionary in it, and its cookie
    is renewed when it is used. One without values does not exist: neither cookie nor record.

    Args:
        record: What was kept; one without values for a new session.
        now: Seconds since the epoch.
    """

    __slots__ = ("_before", "_new", "_now", "_record", "_replaced", "_sealed")

    def __init__(self, record: Record | None, now: float) -> None:
        self._now = now
        self._new = record is None
        self._record = record or Record(created=now, renewed=now)
        self._before: bytes | None = None
        self._replaced = ""
        self._sealed = False

    @property
    def id(self) -> str:
        """What names it, for the tokens of forms for instance; not for logs."""
        self._use()
        return self.record.id

    @property
    def is_new(self) -> bool:
        """Whether the request brought none that is valid."""
        self._use()
        return self._new

    def rotate(self) -> None:
        """Take a new id, and a new life, with the values that it has; the old id ends.

        Call it whenever somebody logs in or gains rights: an id that was planted, or seen, before
        is worth nothing then.

        Raises:
            RuntimeError: The answer has begun.
        """
        self._change()
        if not self._new and not self._replaced:
            self._replaced = self._record.id
        self._record = Record(created=self._now, renewed=self._now, values=self._record.values)

    def __getitem__(self, name: str) -> Any:
        self._use()
        return self._record.values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._change()
        # Of a name that is no text, JSON would silently make one.
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{name!r} is no name in a session: names are texts")
        self._record.values[name] = value

    def __delitem__(self, name: str) -> None:
        self._change()
        del self._record.values[name]

    def __iter__(self) -> Iterator[str]:
        self._use()
        return iter(self._record.values)

    def __len__(self) -> int:
        self._use()
        return len(self._record.values)

    def __repr__(self) -> str:
        return f"<Session of {len(self._record.values)} values>"  # they may be secrets

    # For the middleware.

    @property
    def used(self) -> bool:
        """Whether anybody has looked at it."""
        return self._before is not None

    @property
    def record(self) -> Record:
        """What is to be kept."""
        if not self._record.id:
            self._record.id = secrets.token_urlsafe(32)
        return self._record

    @property
    def replaced(self) -> str:
        """The id that was rotated away; empty for none."""
        return self._replaced

    def is_changed(self, text: bytes) -> bool:
        """Tell whether values, as text, or id differ from what was kept."""
        return text != self._before or bool(self._replaced) or (self._new and bool(self))

    def seal(self) -> None:
        """Refuse changes from now on: the answer has begun."""
        self._sealed = True

    def _use(self) -> None:
        if self._before is None:
            self._before = dump(self._record.values)

    def _change(self) -> None:
        if self._sealed:
            raise RuntimeError("the answer has begun, so its session can no longer be changed")
        self._use()


def dump(value: Any) -> bytes:
    """Return a value as JSON.

    Raises:
        TypeError: It has a part that JSON does not know.
        ValueError: It holds NaN or an infinity, or contains itself.
    """
    return _ENCODER.encode(value).encode("utf-8", "surrogatepass")


def pack(record: Record, values: bytes, /, *, name: str) -> bytes:
    """Return a record as bytes.

    Args:
        record: When it began, and was renewed.
        values: What it holds, from ``dump``.
        name: What it says of its id.
    """
    return b'["%b",%d,%d,%b]' % (name.encode(), record.created, record.renewed, values)


def unpack(data: bytes, /, *, outdated: bool = False) -> Record | None:
    """Return a record; ``None`` if other software, with the same key, wrote something else."""
    try:
        content: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    match content:
        case [str(name), int(created), int(renewed), values] if _is_object(values):
            if max(abs(created), abs(renewed)) > _LATEST:
                return None
            return Record(
                id=name, created=created, renewed=renewed, values=values, outdated=outdated
            )
        case _:
            return None


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


# Set by the middleware, around the handler.
CURRENT: Final[ContextVar[Session | None]] = ContextVar("kratos_session", default=None)


def current_session() -> Session:
    """Return the session of the request that this code runs for.

    Raises:
        RuntimeError: No middleware for sessions is around this code.
    """
    session = CURRENT.get()
    if session is None:
        raise RuntimeError(
            "there are no sessions here: put CookieSessions or StoredSessions into the middleware"
        )
    return session
