"""The bookshop of the demo: nested resources, an error enum, and a call to the greeter."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from bookshop.v1.bookshop_kratos import (
    Bookshop,
    error_book_invalid,
    error_book_not_found,
    error_book_sold_out,
)
from bookshop.v1.bookshop_pb2 import (
    AddBookRequest,
    Book,
    BuyBookRequest,
    GetBookRequest,
    ListBooksReply,
    ListBooksRequest,
    Receipt,
)
from helloworld.greeter_kratos import GreeterClient
from helloworld.greeter_pb2 import HelloRequest

__all__ = ["BookshopService"]


class BookshopService(Bookshop):
    """Keeps its books in memory.

    Args:
        greeter: Writes the dedications.
    """

    def __init__(self, greeter: GreeterClient) -> None:
        self._greeter = greeter
        self._books: dict[str, Book] = {}

    async def add_book(self, request: AddBookRequest, /) -> Book:
        """Put a book on a shelf."""
        if not request.book.title or request.book.price.cents <= 0:
            raise error_book_invalid("a book needs a title and a price")
        slug = re.sub(r"\W+", "-", request.book.title.lower()).strip("-")
        book = Book(name=f"shelves/{request.shelf}/books/{slug}")
        book.MergeFrom(request.book)
        book.added_at.GetCurrentTime()
        self._books[book.name] = book
        return book

    async def get_book(self, request: GetBookRequest, /) -> Book:
        """Find one book by its full name."""
        book = self._books.get(request.name)
        if book is None:
            raise error_book_not_found(
                f"there is no {request.name}", metadata={"name": request.name}
            )
        return book

    async def list_books(self, request: ListBooksRequest, /) -> ListBooksReply:
        """List the books of a shelf, the cheapest first."""
        prefix = f"shelves/{request.shelf}/books/"
        books = [
            book
            for name, book in self._books.items()
            if name.startswith(prefix)
            and (not request.bindings or book.binding in request.bindings)
        ]
        books.sort(key=lambda book: book.price.cents)
        return ListBooksReply(books=books[: request.limit or None])

    async def browse_books(self, request: ListBooksRequest, /) -> AsyncIterator[Book]:
        """Show the books of a shelf one by one."""
        for book in (await self.list_books(request)).books:
            yield book

    async def buy_book(self, request: BuyBookRequest, /) -> Receipt:
        """Sell a book; the greeter writes the dedication."""
        book = await self.get_book(GetBookRequest(name=request.name))
        if book.in_stock == 0:
            raise error_book_sold_out(f"{book.title} is sold out")
        greeting = await self._greeter.say_hello(HelloRequest(name=request.customer))
        book.in_stock -= 1
        return Receipt(book=book, dedication=f"{greeting.message} Enjoy {book.title}.")
