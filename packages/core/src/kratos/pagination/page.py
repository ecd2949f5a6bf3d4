"""One page of a list: how many rows, from where, and the token of the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Page"]

C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Page(Generic[C]):
    """The page that a request asks for; ``Paginator`` makes it.

    Attributes:
        size: How many rows it has at most; at least 1.
        cursor: Where it begins; ``None`` for the first one.
    """

    size: int
    cursor: C | None
    _token: Callable[[C], str] = field(repr=False)

    @property
    def fetch(self) -> int:
        """How many rows to look for: one more than are shown tells whether a page follows."""
        return self.size + 1

    def token(self, cursor: C, /) -> str:
        """Return the token of the page that begins at ``cursor``.

        Raises:
            TypeError: The cursor cannot be written.
            ValueError: The same, or it makes a token of over 4096 characters.
        """
        return self._token(cursor)

    def split(self, rows: Sequence[R], cursor: Callable[[R], C], /) -> tuple[Sequence[R], str]:
        """Return the rows to show, and the token of the next page; empty if there is none.

        Args:
            rows: Up to ``fetch`` rows from ``cursor`` on; more are left for the next page.
            cursor: Returns where the next page begins, from the last row that is shown.

        Raises:
            TypeError: As ``token``.
            ValueError: The same.
        """
        if len(rows) <= self.size:
            return rows, ""
        shown = rows[: self.size]
        return shown, self._token(cursor(shown[-1]))
