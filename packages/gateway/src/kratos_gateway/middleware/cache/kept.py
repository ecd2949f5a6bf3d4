"""A shelf of answers, by what was asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self, TypedDict

from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Answer, Request
from kratos_gateway.middleware.cache.freshness import Lifetime

__all__ = ["Kept", "Shelf"]

_OVERHEAD: Final = 512  # bytes of an answer beside its body and its headers
_DROPS: Final = 4096  # keys that are remembered to have been let go
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
        revalidating: Until when it serves while it is asked for anew.
        failing: Until when it serves where back ends fail.
        gone: When it is of no use any more.
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
    revalidating: float = 0.0
    failing: float = 0.0
    gone: float = 0.0

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
            **_times(lifetime, now),
        )

    def freshened(self, headers: WireHeaders, lifetime: Lifetime, now: float, /) -> Self:
        """Return it as it is after a back end has said that it is still good.

        Args:
            headers: Its own, with those that came.
            lifetime: How long it may be kept now.
            now: When they came.
        """
        return replace(
            self,
            headers=tuple(pair for pair in headers if pair[0] not in _NOT_KEPT),
            public=lifetime.public,
            since=now,
            age=lifetime.age,
            **_times(lifetime, now),
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

    Attributes:
        size: Bytes that there are.
        serial: Grows with each key that is let go.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._kept: Final[OrderedDict[str, list[Kept]]] = OrderedDict()
        # By the hash of a key: clients choose how long keys are, and of two that have one in common
        # nothing worse comes than that one answer is not kept.
        self._drops: Final[OrderedDict[int, int]] = OrderedDict()
        self.size = 0
        self.serial = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(
        self, key: str, headers: WireHeaders, now: float, /, *, by: object = None
    ) -> Kept | None:
        """Return the answer that is kept, fresh or not; what is of no use any more goes."""
        forms = self._kept.get(key)
        if forms is None:
            return None
        for form in [each for each in forms if each.gone <= now]:
            self._take(key, forms, form)
        found = next((each for each in forms if each.is_for(headers, by=by)), None)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: str, kept: Kept, /, *, asked: int | None = None) -> None:
        """Keep an answer, in place of those for the same requests.

        Args:
            key: What it is for.
            kept: It.
            asked: The ``serial`` of when it was asked for: if its key was let go since, it may be
                of before a change and is not kept. ``None`` for now.
        """
        if asked is not None and self._drops.get(hash(key), -1) >= asked:
            return
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
            self._let_go(next(iter(self._kept)))

    def drop(self, key: str, /) -> None:
        """Let go what is kept for a key, and what is on its way."""
        self._drops[hash(key)] = self.serial
        self._drops.move_to_end(hash(key))
        self.serial += 1
        if len(self._drops) > _DROPS:
            self._drops.popitem(last=False)
        self._let_go(key)

    def lose(self, key: str, kept: Kept, /) -> None:
        """Let go one answer, if it is still there."""
        forms = self._kept.get(key, [])
        if any(each is kept for each in forms):
            self._take(key, forms, kept)

    def _let_go(self, key: str) -> None:
        self.size -= sum(each.size + len(key) for each in self._kept.pop(key, ()))

    def _take(self, key: str, forms: list[Kept], form: Kept) -> None:
        forms.remove(form)
        self.size -= form.size + len(key)
        if not forms:
            del self._kept[key]


class _Times(TypedDict):
    until: float
    revalidating: float
    failing: float
    gone: float


def _times(lifetime: Lifetime, now: float) -> _Times:
    until = now + lifetime.left
    more = max(lifetime.revalidating, lifetime.failing, lifetime.kept)
    return _Times(
        until=until,
        revalidating=until + lifetime.revalidating,
        failing=until + lifetime.failing,
        gone=until + more,
    )


def _sent(headers: WireHeaders, name: bytes) -> bytes:
    return b",".join(value for key, value in headers if key == name)
