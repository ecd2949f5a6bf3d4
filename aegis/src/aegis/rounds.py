"""Deterministic subsets that load all back ends alike, for clients that are numbered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Generic, TypeVar

from aegis.subset import DEFAULT_SIZE

__all__ = ["RoundSubsetter"]

M = TypeVar("M")

_DIGEST_BYTES = 8


class RoundSubsetter(Generic[M]):
    """Subsets of one list of members for clients with numbers from 0 on, such as pod ordinals.

    The members are shuffled and cut into subsets, one for each client of a *round*; the next round
    shuffles anew. Within a round no member has more than one client, so after any number of clients
    two members differ by at most the number of rounds begun, and by 1 where ``size`` divides the
    members: up to ``size - 1`` of them are left over in each round, other ones each time. A ring
    (``Subsetter``) needs no numbers, but spreads clients with a standard deviation near the square
    root of their mean.

    Source: *Site Reliability Engineering* (Beyer et al., 2016), chapter 20, "Deterministic
    subsetting". Different from there: the shuffle of a round sorts by a hash of round and member.
    Where the book's shuffle makes an entirely new order of each new list, here those that stay keep
    theirs, and a member that comes or goes moves about one place of each client. When it changes
    how many subsets make up a round, clients change rounds, and most of their members.

    Args:
        members: The list, in any order; members of equal text count once.
        text: Gives the text that identifies a member.
    """

    __slots__ = ("_members", "_names", "_ordered")

    def __init__(self, members: Sequence[M], *, text: Callable[[M], str] = str) -> None:
        self._members = members
        by_name: dict[str, M] = {}
        for member in members:
            by_name.setdefault(text(member), member)
        self._names = by_name
        self._ordered = lru_cache(maxsize=16)(self._order_of)

    def pick(self, client: int, *, size: int = DEFAULT_SIZE) -> Sequence[M]:
        """Return the subset of one client.

        The first client of a round sorts the members, about 1 microsecond for each; the orders of
        16 rounds are kept.

        Args:
            client: Number of the client; even loads need all numbers from 0 on to be in use.
            size: Members wanted; 0 or less turns subsetting off.

        Returns:
            The list itself if it is not longer than ``size``, else ``size`` members, or all where
            texts repeat so much that there are no more.

        Raises:
            ValueError: ``client`` is negative.
        """
        if client < 0:
            msg = f"client must be at least 0, got {client}"
            raise ValueError(msg)
        if size <= 0 or len(self._members) <= size:
            return self._members
        number, place = divmod(client, max(1, len(self._names) // size))
        return self._ordered(number)[place * size : (place + 1) * size]

    def _order_of(self, number: int) -> tuple[M, ...]:
        salt = b"%d " % number

        def rank(name: str) -> tuple[bytes, str]:
            data = salt + name.encode("utf-8", "surrogatepass")
            return blake2b(data, digest_size=_DIGEST_BYTES).digest(), name

        return tuple(self._names[name] for name in sorted(self._names, key=rank))
