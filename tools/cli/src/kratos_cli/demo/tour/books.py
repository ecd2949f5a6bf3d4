"""Books are added, listed, changed and deleted."""

from __future__ import annotations

from bookshop.v1.bookshop_kratos import (
    BOOKSHOP_ADD_BOOK,
    BOOKSHOP_DELETE_BOOK,
    BOOKSHOP_GET_BOOK,
    BOOKSHOP_LIST_BOOKS,
    BOOKSHOP_UPDATE_BOOK,
    BookshopClient,
    is_book_changed,
    is_book_exists,
    is_book_invalid,
    is_book_not_found,
)
from bookshop.v1.bookshop_pb2 import (
    PAPERBACK,
    AddBookRequest,
    Book,
    DeleteBookRequest,
    GetBookRequest,
    ListBooksReply,
    ListBooksRequest,
    Price,
    UpdateBookRequest,
)
from google.protobuf.field_mask_pb2 import FieldMask

from kratos.fieldmask import is_field_mask
from kratos.pagination import is_page_token
from kratos_cli.demo.tour.guide import Guide

__all__ = ["add", "change", "delete", "fail", "list_in_pages"]

_BOOKS = (("Emma", 1250), ("Persuasion", 990), ("Sanditon", 790))


async def add(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Put three books on a shelf."""
    for title, cents in _BOOKS:
        book = Book(
            title=title,
            authors=["Jane Austen"],
            binding=PAPERBACK,
            price=Price(currency="EUR", cents=cents),
            in_stock=1,
        )
        await guide.call(
            BOOKSHOP_ADD_BOOK,
            shop.add_book,
            AddBookRequest(shelf=shelf, book=book),
            show=lambda book: f"{book.name}, {_price(book)}",
        )


async def list_in_pages(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Turn a page, and fail to take its token to another list."""
    request = ListBooksRequest(shelf=shelf, page_size=2)
    first = await guide.call(
        BOOKSHOP_LIST_BOOKS, shop.list_books, request, show=_titles, query="page_size=2"
    )
    request.page_token = first.next_page_token
    await guide.call(
        BOOKSHOP_LIST_BOOKS, shop.list_books, request, show=_titles, query="page_token=…"
    )
    request.bindings.append(PAPERBACK)
    await guide.refused(
        BOOKSHOP_LIST_BOOKS,
        shop.list_books,
        request,
        by=is_page_token,
        query="bindings=…&page_token=…",
    )


async def change(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Change a price, and fail to change what has changed meanwhile."""
    name = f"shelves/{shelf}/books/emma"
    seen = await guide.call(
        BOOKSHOP_GET_BOOK,
        shop.get_book,
        GetBookRequest(name=name),
        show=lambda book: f"{book.title}, {_price(book)}, etag {book.etag}",
    )
    seen.price.cents = 1100
    request = UpdateBookRequest(book=seen, update_mask=FieldMask(paths=["price.cents"]))
    await guide.call(
        BOOKSHOP_UPDATE_BOOK,
        shop.update_book,
        request,
        show=lambda book: f"{book.title}, {_price(book)}, etag {book.etag}",
        query="update_mask=price.cents",
    )
    await guide.refused(
        BOOKSHOP_UPDATE_BOOK,
        shop.update_book,
        request,
        by=is_book_changed,
        query="update_mask=price.cents",
    )


async def delete(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Take a book off the shelf."""
    name = f"shelves/{shelf}/books/sanditon"
    await guide.call(
        BOOKSHOP_DELETE_BOOK,
        shop.delete_book,
        DeleteBookRequest(name=name),
        show=lambda _: "it is gone",
    )
    await guide.refused(
        BOOKSHOP_GET_BOOK, shop.get_book, GetBookRequest(name=name), by=is_book_not_found
    )


async def fail(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Ask for what cannot be."""
    emma = Book(title="Emma", price=Price(currency="EUR", cents=1))
    for book, refused_by in ((emma, is_book_exists), (Book(title="Emma"), is_book_invalid)):
        request = AddBookRequest(shelf=shelf, book=book)
        await guide.refused(BOOKSHOP_ADD_BOOK, shop.add_book, request, by=refused_by)
    await guide.refused(
        BOOKSHOP_UPDATE_BOOK,
        shop.update_book,
        UpdateBookRequest(
            book=Book(name=f"shelves/{shelf}/books/emma"), update_mask=FieldMask(paths=["titel"])
        ),
        by=is_field_mask,
        query="update_mask=titel",
    )


def _price(book: Book) -> str:
    return f"{book.price.cents / 100:.2f} {book.price.currency}"


def _titles(page: ListBooksReply) -> str:
    more = "and a token for more" if page.next_page_token else "and no more"
    return f"{', '.join(book.title for book in page.books)}, {more}"
