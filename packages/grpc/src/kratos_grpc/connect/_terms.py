"""What all calls of a server over Connect have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from kratos_grpc._codings import CODINGS, IDENTITY, Coding
from kratos_http.listening import Place

__all__ = ["READABLE", "Terms", "preferred"]

READABLE: Final = ", ".join(name.decode() for name in CODINGS)
"""The codings of requests, for people."""

_MOST: Final = 16  # codings of one header that are looked at


@dataclass(slots=True, kw_only=True)
class Terms:
    """What all calls of a server over Connect have in common.

    Attributes:
        place: Where the server is, known when it is bound.
        max_receive: Bytes of the largest request message, before and after it is decompressed.
        max_send: Bytes of the largest reply message; ``None`` for no limit.
        codings: Of replies, for clients that read them; none by default.
        require_version: Whether calls have to say ``Connect-Protocol-Version: 1``.
        request_timeout: Seconds for the one request of a method that streams replies alone.
    """

    place: Place = field(default_factory=Place)
    max_receive: int
    max_send: int | None = None
    codings: tuple[Coding, ...] = ()
    require_version: bool = False
    request_timeout: float = 30.0
    by_name: dict[bytes, Coding] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name = {coding.name: coding for coding in self.codings}

    def reply_coding(self, accepted: bytes, used: bytes) -> Coding | None:
        """Return how replies are compressed; ``None`` for not at all.

        Args:
            accepted: The codings that the client lists, its favourite first.
            used: That of its request, which stands for a list that it did not send.
        """
        if not self.by_name:
            return None
        return self.by_name.get(preferred(accepted or used, frozenset(self.by_name)))


@lru_cache(maxsize=64)
def preferred(accepted: bytes, offered: frozenset[bytes]) -> bytes:
    """Return the first of a client's codings that is offered; ``identity`` if none is.

    Their order alone counts in Connect; what has the weight zero is none of them all the same.
    """
    for element in accepted.split(b",", _MOST)[:_MOST]:
        name, _, weight = element.partition(b";")
        name = name.strip().lower()
        if name in offered and weight.replace(b" ", b"") not in (b"q=0", b"q=0.0"):
            return name
    return IDENTITY
