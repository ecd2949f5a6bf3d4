from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from bookshop.v1.bookshop_kratos import BookshopClient, is_book_not_found, is_book_sold_out
from bookshop.v1.bookshop_pb2 import (
    Book,
    BuyBookRequest,
    DeleteBookRequest,
    GetBookRequest,
    ReserveBookRequest,
)

from kratos import Error
from kratos.testing.clock import FakeClock

AddBook = Callable[..., Awaitable[Book]]

EMMA = "shelves/novels/books/emma"
HOLD = 15 * 60.0  # seconds


async def stock(shop: BookshopClient) -> int:
    return (await shop.get_book(GetBookRequest(name=EMMA))).in_stock


def reserve(shop: BookshopClient, customer: str) -> Awaitable[object]:
    return shop.reserve_book(ReserveBookRequest(name=EMMA, customer=customer))


def buy(shop: BookshopClient, customer: str) -> Awaitable[object]:
    return shop.buy_book(BuyBookRequest(name=EMMA, customer=customer))


async def test_sold_copy_leaves_the_stock_with_a_dedication(
    shop: BookshopClient, add: AddBook
) -> None:
    await add("Emma", in_stock=2)
    receipt = await shop.buy_book(BuyBookRequest(name=EMMA, customer="Ada"))
    assert receipt.dedication == "Hello Ada! Enjoy Emma."
    assert receipt.book.in_stock == await stock(shop) == 1


async def test_copy_goes_back_when_the_dedication_fails(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    with pytest.raises(Error, match="tell me whom to greet"):
        await buy(shop, "")
    assert await stock(shop) == 1


async def test_reserved_copy_is_for_nobody_else(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    await reserve(shop, "Ada")
    for attempt in (buy(shop, "Bob"), reserve(shop, "Bob")):
        with pytest.raises(Error) as caught:
            await attempt
        assert is_book_sold_out(caught.value)
    await buy(shop, "Ada")
    assert await stock(shop) == 0


async def test_second_reservation_of_a_customer_takes_no_second_copy(
    shop: BookshopClient, add: AddBook, clock: FakeClock
) -> None:
    await add("Emma", in_stock=2)
    await reserve(shop, "Ada")
    await clock.advance(HOLD / 2)
    again = await shop.reserve_book(ReserveBookRequest(name=EMMA, customer="Ada"))
    assert await stock(shop) == 1
    assert again.expires_at.ToMilliseconds() == int((clock.wall() + HOLD) * 1000)


async def test_copy_returns_when_its_time_is_over(
    shop: BookshopClient, add: AddBook, clock: FakeClock
) -> None:
    await add("Emma")
    await reserve(shop, "Ada")
    await clock.advance(HOLD)
    await buy(shop, "Bob")
    with pytest.raises(Error) as caught:
        await buy(shop, "Ada")
    assert is_book_sold_out(caught.value)


async def test_reservation_goes_with_its_book(
    shop: BookshopClient, add: AddBook, clock: FakeClock
) -> None:
    await add("Emma")
    await reserve(shop, "Ada")
    await shop.delete_book(DeleteBookRequest(name=EMMA))
    await add("Emma", in_stock=0)
    await clock.advance(HOLD)
    with pytest.raises(Error) as caught:
        await buy(shop, "Bob")
    assert is_book_sold_out(caught.value)


async def test_book_that_is_not_there_cannot_be_reserved_or_bought(shop: BookshopClient) -> None:
    for attempt in (buy(shop, "Ada"), reserve(shop, "Ada")):
        with pytest.raises(Error) as caught:
            await attempt
        assert is_book_not_found(caught.value)
