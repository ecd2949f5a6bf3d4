"""Whether an answer may be kept, and for how long (RFC 9111, 3 and 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Answer

__all__ = ["Lifetime", "Lifetimes", "directives", "may_be_kept", "validators"]

_STATUSES: Final = frozenset((200, 203, 301, 308, 404, 410))
_LONGEST_CONTROL: Final = 2048  # bytes of what it takes a while to read
_LONGEST: Final = 10  # digits of a number of seconds


class Lifetime(NamedTuple):
    """How long an answer may be kept.

    Attributes:
        left: Seconds from now on.
        age: Seconds that it is old.
        public: Whether it says that it is for everybody.
        revalidating: Seconds after that in which it serves while it is asked for anew.
        failing: Seconds after that in which it serves where back ends fail.
        kept: Seconds after that in which it may be asked whether it is still good.
    """

    left: float
    age: float
    public: bool
    revalidating: float = 0.0
    failing: float = 0.0
    kept: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Finds out how long answers may be kept.

    Attributes:
        default: Seconds for those that do not say; 0 for not at all.
        longest: Seconds for any.
        revalidating: Seconds for those that do not say ``stale-while-revalidate``.
        failing: Seconds for those that do not say ``stale-if-error``.
    """

    default: float
    longest: float
    revalidating: float = 0.0
    failing: float = 0.0

    def of(self, answer: Answer, wall: float, /) -> Lifetime | None:
        """Return how long it may be kept; ``None`` if it may not.

        Args:
            answer: It.
            wall: Seconds since the epoch.
        """
        told = directives(answer.headers)
        if told.keys() & {"no-store", "private", "no-cache"}:
            return None
        lifetime = self._told(told, answer, wall)
        age = _seconds(answer.header(b"age").decode("latin-1")) or 0.0
        left = min(lifetime, self.longest) - age
        if left <= 0:
            return None
        return Lifetime(
            left,
            age,
            bool(told.keys() & {"public", "s-maxage"}),
            revalidating=self._stale(told, "stale-while-revalidate", self.revalidating),
            failing=self._stale(told, "stale-if-error", self.failing),
            kept=self.longest if validators(answer.headers) else 0.0,
        )

    def _told(self, told: Mapping[str, str], answer: Answer, wall: float) -> float:
        """Return how long it is fresh; what is told, and is no number, means not at all (4.2.1)."""
        for name in ("s-maxage", "max-age"):
            if name in told:
                return _seconds(told[name]) or 0.0
        until = _until_expiry(answer, wall)
        return self.default if until is None else until

    def _stale(self, told: Mapping[str, str], name: str, default: float) -> float:
        """Return for how long it serves when it is no longer fresh (RFC 9111, 4.2.4, RFC 5861)."""
        if told.keys() & {"must-revalidate", "proxy-revalidate"}:
            return 0.0
        given = _seconds(told.get(name))
        if given is None:  # s-maxage forbids it, unless the answer itself says otherwise
            given = 0.0 if "s-maxage" in told else default
        return min(given, self.longest)


def directives(headers: WireHeaders, /) -> Mapping[str, str]:
    """Return what ``Cache-Control`` says; of ``Pragma``, ``no-cache``.

    One that is longer than anybody means says ``no-store``.
    """
    told: dict[str, str] = {}
    for name, value in headers:
        if name == b"cache-control" and len(value) > _LONGEST_CONTROL:
            return {"no-store": ""}
        if name == b"cache-control" or (name == b"pragma" and value.strip() == b"no-cache"):
            for part in value.decode("latin-1").lower().split(","):
                key, _, argument = part.strip().partition("=")
                told.setdefault(key.strip(), argument.strip().strip('"'))
    return told


def validators(headers: WireHeaders, /) -> list[tuple[bytes, bytes]]:
    """Return what a request asks by whether an answer is still good (RFC 9111, 4.3.1)."""
    asked = {b"etag": b"if-none-match", b"last-modified": b"if-modified-since"}
    return [(asked[name], value) for name, value in headers if name in asked]


def may_be_kept(answer: Answer, /, *, shared: bool) -> bool:
    """Tell whether an answer is of a kind that is kept.

    Args:
        answer: It.
        shared: Whether the request was nobody's; else it has to say that it is for everybody.
    """
    if answer.status not in _STATUSES:
        return False
    if not shared and not directives(answer.headers).keys() & {"public", "s-maxage"}:
        return False
    for name, value in answer.headers:
        if name == b"set-cookie" or (name == b"vary" and b"*" in value):
            return False
        if name == b"content-type" and value.startswith((b"application/grpc", b"text/event")):
            return False
    return True


def _seconds(text: str | None) -> float | None:
    if not text or not (text.isascii() and text.isdigit()):
        return None
    return float(text[:_LONGEST])


def _until_expiry(answer: Answer, wall: float) -> float | None:
    expires = answer.header(b"expires")
    if not expires:
        return None
    end = _time(expires)
    if end is None:
        return 0.0  # "0" and the like: it has expired
    date = _time(answer.header(b"date"))
    return max(0.0, end - (wall if date is None else date))


def _time(value: bytes) -> float | None:
    try:
        return parsedate_to_datetime(value.decode("latin-1")).timestamp()
    except (ValueError, OverflowError):
        return None
