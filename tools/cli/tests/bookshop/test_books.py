from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from bookshop.v1.bookshop_kratos import (
    BookshopClient,
    is_book_changed,
    is_book_exists,
    is_book_invalid,
    is_book_not_found,
)
from bookshop.v1.bookshop_pb2 import (
    HARDCOVER,
    PAPERBACK,
    AddBookRequest,
    Book,
    DeleteBookRequest,
    GetBookRequest,
    ListBooksRequest,
    Price,
    UpdateBookRequest,
)
from google.protobuf.field_mask_pb2 import FieldMask

from kratos import Error
from kratos.fieldmask import is_field_mask
from kratos.pagination import follow, is_page_token
from kratos.testing.clock import FakeClock

AddBook = Callable[..., Awaitable[Book]]

EMMA = "shelves/novels/books/emma"


def change(book: Book, *paths: str) -> UpdateBookRequest:
    return UpdateBookRequest(book=book, update_mask=FieldMask(paths=paths))


async def test_book_gets_its_name_from_its_shelf_and_title(add: AddBook) -> None:
    book = await add("Pride & Prejudice", name="mine", etag="mine")
    assert book.name == "shelves/novels/books/pride-prejudice"
    assert book.etag != "mine"
    assert book.added_at.seconds > 0


@pytest.mark.parametrize(
    ("shelf", "book", "said"),
    [
        ("novels", Book(title="!", price=Price(cents=1)), "a letter or a digit"),
        ("novels", Book(title="Emma"), "a title and a price"),
        ("novels", Book(title="Emma", price=Price(cents=-1)), "a title and a price"),
        ("novels", Book(title="Emma", price=Price(cents=1), in_stock=-1), "-1 copies"),
        ("", Book(title="Emma", price=Price(cents=1)), "'' is no name of a shelf"),
        ("a/b", Book(title="Emma", price=Price(cents=1)), "'a/b' is no name of a shelf"),
    ],
)
async def test_book_that_cannot_be_is_refused(
    shop: BookshopClient, shelf: str, book: Book, said: str
) -> None:
    with pytest.raises(Error, match=said) as caught:
        await shop.add_book(AddBookRequest(shelf=shelf, book=book))
    assert is_book_invalid(caught.value)


async def test_second_book_of_a_name_is_refused(add: AddBook) -> None:
    await add("Emma")
    with pytest.raises(Error) as caught:
        await add("Emma")
    assert is_book_exists(caught.value)


async def test_book_is_found_as_it_was_answered(shop: BookshopClient, add: AddBook) -> None:
    book = await add("Emma")
    assert await shop.get_book(GetBookRequest(name=EMMA)) == book


async def test_pages_lead_through_the_shelf_from_the_cheapest(
    shop: BookshopClient, add: AddBook
) -> None:
    for title, cents in (("C", 3), ("A", 1), ("B", 2), ("Also B", 2), ("D", 4)):
        await add(title, cents=cents)
    pages = follow(shop.list_books, ListBooksRequest(shelf="novels", page_size=2))
    titles = [[book.title for book in page.books] async for page in pages]
    assert titles == [["A", "Also B"], ["B", "C"], ["D"]]


async def test_book_that_goes_between_two_pages_hides_no_other(
    shop: BookshopClient, add: AddBook
) -> None:
    for title, cents in (("Emma", 1), ("B", 2), ("C", 3)):
        await add(title, cents=cents)
    request = ListBooksRequest(shelf="novels", page_size=2)
    request.page_token = (await shop.list_books(request)).next_page_token
    await shop.delete_book(DeleteBookRequest(name=EMMA))
    assert [book.title for book in (await shop.list_books(request)).books] == ["C"]


async def test_list_shows_only_the_bindings_that_are_asked_for(
    shop: BookshopClient, add: AddBook
) -> None:
    await add("Emma", binding=HARDCOVER)
    await add("Persuasion", binding=PAPERBACK)
    listed = await shop.list_books(ListBooksRequest(shelf="novels", bindings=[HARDCOVER]))
    assert [book.title for book in listed.books] == ["Emma"]


async def test_token_of_another_list_is_refused(shop: BookshopClient, add: AddBook) -> None:
    for title in ("A", "B"):
        await add(title)
    request = ListBooksRequest(shelf="novels", page_size=1)
    token = (await shop.list_books(request)).next_page_token
    with pytest.raises(Error) as caught:
        await shop.list_books(ListBooksRequest(shelf="poems", page_token=token))
    assert is_page_token(caught.value)


async def test_token_expires(shop: BookshopClient, add: AddBook, clock: FakeClock) -> None:
    for title in ("A", "B"):
        await add(title)
    request = ListBooksRequest(shelf="novels", page_size=1)
    request.page_token = (await shop.list_books(request)).next_page_token
    await clock.advance(4 * 86400.0)
    with pytest.raises(Error, match="it has expired"):
        await shop.list_books(request)


async def test_update_changes_what_the_mask_names(shop: BookshopClient, add: AddBook) -> None:
    before = await add("Emma", authors=["Jane Austen"])
    after = await shop.update_book(change(Book(name=EMMA, price=Price(cents=5)), "price.cents"))
    assert after.price == Price(currency="EUR", cents=5)
    assert after.authors == before.authors
    assert after.etag != before.etag
    assert await shop.get_book(GetBookRequest(name=EMMA)) == after


async def test_update_without_a_mask_changes_what_is_set(
    shop: BookshopClient, add: AddBook
) -> None:
    await add("Emma", in_stock=3)
    after = await shop.update_book(change(Book(name=EMMA, authors=["J. A."])))
    assert (list(after.authors), after.in_stock) == (["J. A."], 3)


async def test_what_the_shop_sets_stays_under_any_mask(shop: BookshopClient, add: AddBook) -> None:
    before = await add("Emma")
    book = Book(name=EMMA, title="Emma!", price=Price(cents=1))
    after = await shop.update_book(change(book, "*"))
    assert (after.name, after.added_at) == (EMMA, before.added_at)
    assert (after.title, after.price) == ("Emma!", Price(cents=1))


async def test_update_that_makes_a_book_invalid_leaves_it_as_it_was(
    shop: BookshopClient, add: AddBook
) -> None:
    before = await add("Emma")
    with pytest.raises(Error) as caught:
        await shop.update_book(change(Book(name=EMMA), "title"))
    assert is_book_invalid(caught.value)
    assert await shop.get_book(GetBookRequest(name=EMMA)) == before


async def test_mask_with_an_unknown_path_is_refused(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    with pytest.raises(Error, match="did you mean 'title'") as caught:
        await shop.update_book(change(Book(name=EMMA), "titel"))
    assert is_field_mask(caught.value)


async def test_second_of_two_updates_of_one_reading_is_refused(
    shop: BookshopClient, add: AddBook
) -> None:
    seen = await add("Emma")
    after = await shop.update_book(change(Book(name=EMMA, in_stock=2, etag=seen.etag), "in_stock"))
    with pytest.raises(Error) as caught:
        await shop.update_book(change(Book(name=EMMA, in_stock=7, etag=seen.etag), "in_stock"))
    assert is_book_changed(caught.value)
    assert caught.value.metadata == {"etag": after.etag}


async def test_book_that_has_changed_is_not_deleted_by_its_old_etag(
    shop: BookshopClient, add: AddBook
) -> None:
    seen = await add("Emma")
    await shop.update_book(change(Book(name=EMMA, in_stock=2), "in_stock"))
    with pytest.raises(Error) as caught:
        await shop.delete_book(DeleteBookRequest(name=EMMA, etag=seen.etag))
    assert is_book_changed(caught.value)


async def test_deleted_book_is_gone(shop: BookshopClient, add: AddBook) -> None:
    book = await add("Emma")
    await shop.delete_book(DeleteBookRequest(name=EMMA, etag=book.etag))
    for call in (
        shop.get_book(GetBookRequest(name=EMMA)),
        shop.delete_book(DeleteBookRequest(name=EMMA)),
        shop.update_book(change(Book(name=EMMA))),
    ):
        with pytest.raises(Error) as caught:
            await call
        assert is_book_not_found(caught.value)
        assert caught.value.metadata == {"name": EMMA}
