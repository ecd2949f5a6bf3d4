"""Books on shelves, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import NamedTuple

from bookshop.v1.bookshop_kratos import (
    error_book_changed,
    error_book_exists,
    error_book_not_found,
    error_book_sold_out,
)
from bookshop.v1.bookshop_pb2 import Binding, Book

__all__ = ["Place", "Shelves"]


class Place(NamedTuple):
    """Where a book comes in the order of its shelf."""

    cents: int
    name: str

    @classmethod
    def of(cls, book: Book) -> Place:
        """Return the place of a book."""
        return cls(book.price.cents, book.name)


class Shelves:
    """Keeps books by their full names.

    Hands out copies and takes copies, so a book changes only where it is put back. No method
    waits, so none is interrupted by another.
    """

    def __init__(self) -> None:
        self._books: dict[str, Book] = {}

    def add(self, book: Book) -> Book:
        """Keep a new book.

        Raises:
            Error: BOOK_EXISTS.
        """
        if book.name in self._books:
            raise error_book_exists(f"{book.name} stands there already")
        return self.put(book)

    def get(self, name: str, *, etag: str = "") -> Book:
        """Return a book, if it still is the one of the etag.

        Raises:
            Error: BOOK_NOT_FOUND, BOOK_CHANGED.
        """
        kept = self._books.get(name)
        if kept is None:
            raise error_book_not_found(f"there is no {name}", metadata={"name": name})
        if etag not in ("", kept.etag):
            raise error_book_changed(
                f"{name} has changed: get it anew", metadata={"etag": kept.etag}
            )
        book = Book()
        book.CopyFrom(kept)
        return book

    def put(self, book: Book) -> Book:
        """Keep a book as it is now, and return it with its new etag."""
        kept = Book()
        kept.CopyFrom(book)
        kept.ClearField("etag")
        content = kept.SerializeToString(deterministic=True)
        book.etag = kept.etag = hashlib.sha256(content).hexdigest()[:16]
        self._books[kept.name] = kept
        return book

    def remove(self, name: str) -> None:
        """Forget a book."""
        del self._books[name]

    def take(self, name: str) -> None:
        """Take a copy of a book from the stock.

        Raises:
            Error: BOOK_NOT_FOUND, BOOK_SOLD_OUT.
        """
        book = self.get(name)
        if book.in_stock <= 0:
            raise error_book_sold_out(f"{book.title} is sold out")
        book.in_stock -= 1
        self.put(book)

    def give_back(self, name: str) -> None:
        """Put a copy back into the stock, if the book still stands there."""
        if name in self._books:
            book = self.get(name)
            book.in_stock += 1
            self.put(book)

    def find(
        self,
        shelf: str,
        *,
        bindings: Collection[Binding] = (),
        after: Place | None = None,
        limit: int | None = None,
    ) -> list[Book]:
        """Return the books of a shelf in the order of their places.

        Args:
            shelf: Which.
            bindings: Only these; all if there are none.
            after: Only those that come after this place.
            limit: At most so many.
        """
        prefix = f"shelves/{shelf}/books/"
        found = [
            book
            for name, book in self._books.items()
            if name.startswith(prefix)
            and (not bindings or book.binding in bindings)
            and (after is None or Place.of(book) > after)
        ]
        return [self.get(book.name) for book in sorted(found, key=Place.of)[:limit]]
