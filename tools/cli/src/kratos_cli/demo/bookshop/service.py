"""The service in front of shelves, covers and readers."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator

from bookshop.v1.bookshop_kratos import Bookshop, error_book_invalid
from bookshop.v1.bookshop_pb2 import (
    AddBookRequest,
    Book,
    BuyBookRequest,
    Cover,
    DeleteBookRequest,
    DownloadCoverRequest,
    GetBookRequest,
    ListBooksReply,
    ListBooksRequest,
    Receipt,
    Remark,
    Reservation,
    ReserveBookRequest,
    UpdateBookRequest,
    UploadCoverRequest,
    WatchBooksRequest,
)
from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty
from helloworld.greeter_kratos import GreeterClient
from helloworld.greeter_pb2 import HelloRequest

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.fieldmask import update
from kratos.pagination import Paginator, TupleCursor
from kratos.transport import duplex
from kratos_cli.demo.bookshop.broadcast import Broadcast
from kratos_cli.demo.bookshop.chat import Chat
from kratos_cli.demo.bookshop.covers import Covers, assemble
from kratos_cli.demo.bookshop.reservations import Reservations
from kratos_cli.demo.bookshop.shelves import Place, Shelves

__all__ = ["BookshopService"]

_OURS = ("name", "added_at", "etag")  # fields of a book that only the shop sets


class BookshopService(Bookshop):
    """Keeps all in memory.

    Args:
        greeter: Writes the dedications.
        clock: Tells when reservations and page tokens expire.
    """

    def __init__(self, greeter: GreeterClient, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._greeter = greeter
        self._shelves = Shelves()
        self._covers = Covers()
        self._reservations = Reservations(clock=clock)
        self._arrivals = Broadcast[Book]()
        self._chat = Chat()
        # The tokens live as long as the books do. Where processes share the books, they share
        # the keys as well: a secret of the configuration.
        self._pages = Paginator(
            TupleCursor(Place), keys=[secrets.token_bytes(32)], default=20, maximum=100, clock=clock
        )

    async def add_book(self, request: AddBookRequest, /) -> Book:
        """Put a book on a shelf."""
        book = Book(name=_name(request.shelf, request.book.title))
        update(book, request.book, keep=_OURS)
        book.added_at.GetCurrentTime()
        book = self._shelves.add(_checked(book))
        self._arrivals.publish(request.shelf, book)
        return book

    async def get_book(self, request: GetBookRequest, /) -> Book:
        """Find one book by its full name."""
        return self._shelves.get(request.name)

    async def list_books(self, request: ListBooksRequest, /) -> ListBooksReply:
        """List the books of a shelf in pages, the cheapest first."""
        page = self._pages.page(request)
        found = self._shelves.find(
            request.shelf, bindings=request.bindings, after=page.cursor, limit=page.fetch
        )
        books, token = page.split(found, Place.of)
        return ListBooksReply(books=books, next_page_token=token)

    async def update_book(self, request: UpdateBookRequest, /) -> Book:
        """Change the fields of a book that the mask names."""
        book = self._shelves.get(request.book.name, etag=request.book.etag)
        update(book, request.book, request.update_mask, keep=_OURS)
        return self._shelves.put(_checked(book))

    async def delete_book(self, request: DeleteBookRequest, /) -> Empty:
        """Take a book off its shelf for good, and its cover with it."""
        book = self._shelves.get(request.name, etag=request.etag)
        self._shelves.remove(book.name)
        self._covers.remove(book.name)
        self._reservations.drop(book.name)
        return Empty()

    async def reserve_book(self, request: ReserveBookRequest, /) -> Reservation:
        """Lay a copy aside for a customer."""
        self._return_expired()
        if not self._reservations.holds(request.name, request.customer):
            self._shelves.take(request.name)
        until = self._reservations.extend(request.name, request.customer)
        reservation = Reservation(book=request.name, customer=request.customer)
        reservation.expires_at.FromMilliseconds(int(until * 1000))
        return reservation

    async def buy_book(self, request: BuyBookRequest, /) -> Receipt:
        """Sell a copy, the one laid aside if there is one; the greeter writes the dedication."""
        self._return_expired()
        if self._reservations.holds(request.name, request.customer):
            self._reservations.release(request.name, request.customer)
        else:
            self._shelves.take(request.name)
        # The copy is in hand before the first wait, so nobody else gets it meanwhile.
        try:
            greeting = await self._greeter.say_hello(HelloRequest(name=request.customer))
        except BaseException:
            self._shelves.give_back(request.name)
            raise
        book = self._shelves.get(request.name)
        return Receipt(book=book, dedication=f"{greeting.message} Enjoy {book.title}.")

    async def upload_cover(self, requests: AsyncIterator[UploadCoverRequest], /) -> Cover:
        """Keep a picture as the cover of a book."""
        first = await anext(requests, UploadCoverRequest())
        self._shelves.get(first.name)
        image = await assemble(_images(first, requests))
        # The book may have gone while its picture came.
        self._covers.put(self._shelves.get(first.name).name, image)
        return Cover(content_type=image.content_type, size=len(image.data))

    async def download_cover(self, request: DownloadCoverRequest, /) -> AsyncIterator[HttpBody]:
        """Answer with the cover of a book, piece by piece."""
        for piece in self._covers.pieces(self._shelves.get(request.name).name):
            yield piece

    async def watch_books(self, request: WatchBooksRequest, /) -> AsyncIterator[Book]:
        """Show the books of a shelf, and then each new one as it comes."""
        # Listen before looking: a book that comes in between would be missed otherwise.
        with self._arrivals.listen(request.shelf) as arrivals:
            for book in self._shelves.find(request.shelf):
                yield book
            async for book in arrivals:
                yield book

    def chat(self, requests: AsyncIterator[Remark], /) -> AsyncIterator[Remark]:
        """Let readers talk at a shelf."""
        return duplex(requests, self._chat.join)

    def _return_expired(self) -> None:
        for name in self._reservations.expired():
            self._shelves.give_back(name)


async def _images(
    first: UploadCoverRequest, rest: AsyncIterator[UploadCoverRequest]
) -> AsyncIterator[HttpBody]:
    yield first.image
    async for request in rest:
        yield request.image


def _name(shelf: str, title: str) -> str:
    slug = re.sub(r"\W+", "-", title.lower()).strip("-")
    if not slug:
        raise error_book_invalid("a book needs a title, with a letter or a digit in it")
    if not shelf or "/" in shelf:
        raise error_book_invalid(f"{shelf!r} is no name of a shelf: it is empty, or has a slash")
    return f"shelves/{shelf}/books/{slug}"


def _checked(book: Book) -> Book:
    if not book.title or book.price.cents <= 0:
        raise error_book_invalid("a book needs a title and a price")
    if book.in_stock < 0:
        raise error_book_invalid(f"{book.in_stock} copies cannot be in stock")
    return book
