"""A shelf of answers, by what was asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.freshness import Lifetime

__all__ = ["Kept", "Shelf"]

_OVERHEAD: Final = 512  # bytes of an answer beside its body and its headers
_FORMS: Final = 16  # of an answer, by headers that it varies with
_NOT_KEPT: Final = frozenset((b"content-length", b"age", b"cache-status"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer.

    Attributes:
        status: Of HTTP.
        headers: Without those that are made anew.
        body: Whole.
        vary: Names and values of the headers of requests that it is for.
        by: Whose it is: what several endpoints share keeps what each of them answers apart.
        public: Whether it says that it is for everybody.
        since: When it came.
        age: Seconds that it had then.
        until: When it is no longer fresh.
    """

    status: int
    headers: WireHeaders
    body: bytes
    vary: Sequence[tuple[bytes, bytes]]
    by: object
    public: bool
    since: float
    age: float
    until: float

    @classmethod
    def of(
        cls,
        request: Request,
        answer: Answer,
        lifetime: Lifetime,
        now: float,
        /,
        *,
        by: object = None,
    ) -> Self:
        """Return an answer to be kept, without its body."""
        names = {
            part.strip().lower()
            for name, value in answer.headers
            if name == b"vary"
            for part in value.split(b",")
        }
        return cls(
            status=answer.status,
            headers=tuple(pair for pair in answer.headers if pair[0] not in _NOT_KEPT),
            body=b"",
            vary=tuple((name, _sent(request.headers, name)) for name in sorted(names - {b""})),
            by=by,
            public=lifetime.public,
            since=now,
            age=lifetime.age,
            until=now + lifetime.left,
        )

    def with_body(self, body: bytes, /) -> Self:
        """Return it with its body."""
        return replace(self, body=body)

    @property
    def size(self) -> int:
        """Bytes that it takes, with what clients chose of it."""
        pairs = (*self.headers, *self.vary)
        return _OVERHEAD + sum(len(name) + len(value) for name, value in pairs) + len(self.body)

    def is_for(self, headers: WireHeaders, /, *, by: object = None) -> bool:
        """Tell whether a request with these headers gets it, of whoever keeps it."""
        return self.by is by and all(_sent(headers, name) == value for name, value in self.vary)


class Shelf:
    """Answers, the least recently used of which go when there are too many bytes of them.

    Args:
        most: Bytes of all of them.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._kept: Final[OrderedDict[str, list[Kept]]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(
        self, key: str, headers: WireHeaders, now: float, /, *, by: object = None
    ) -> Kept | None:
        """Return the answer that is kept and fresh; what is not fresh goes."""
        forms = self._kept.get(key)
        if forms is None:
            return None
        for form in [each for each in forms if each.until <= now]:
            self._take(key, forms, form)
        found = next((each for each in forms if each.is_for(headers, by=by)), None)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: str, kept: Kept, /) -> None:
        """Keep an answer, in place of those for the same requests."""
        forms = self._kept.get(key, [])
        for form in [each for each in forms if each.vary == kept.vary and each.by is kept.by]:
            self._take(key, forms, form)
        if len(forms) >= _FORMS:
            self._take(key, forms, forms[0])
        forms = self._kept.setdefault(key, [])
        forms.append(kept)
        self._kept.move_to_end(key)
        self.size += kept.size + len(key)
        while self.size > self._most:
            self.drop(next(iter(self._kept)))

    def drop(self, key: str, /) -> None:
        """Let go what is kept for a key."""
        self.size -= sum(each.size + len(key) for each in self._kept.pop(key, ()))

    def _take(self, key: str, forms: list[Kept], form: Kept) -> None:
        forms.remove(form)
        self.size -= form.size + len(key)
        if not forms:
            del self._kept[key]


def _sent(headers: WireHeaders, name: bytes) -> bytes:
    return b",".join(value for key, value in headers if key == name)
