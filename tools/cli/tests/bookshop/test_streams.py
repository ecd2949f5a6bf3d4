from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from bookshop.v1.bookshop_kratos import BookshopClient, is_listener_too_slow
from bookshop.v1.bookshop_pb2 import AddBookRequest, Book, Price, Remark, WatchBooksRequest

from kratos import Error
from kratos_cli.demo.bookshop.broadcast import Broadcast
from kratos_cli.demo.bookshop.chat import Chat

AddBook = Callable[..., Awaitable[Book]]


def says(reader: str, text: str, shelf: str = "novels") -> Remark:
    return Remark(shelf=shelf, reader=reader, text=text)


async def test_feed_shows_what_is_there_and_then_what_comes(
    shop: BookshopClient, add: AddBook
) -> None:
    await add("Emma")
    async with shop.watch_books(WatchBooksRequest(shelf="novels")) as books:
        assert (await anext(books)).title == "Emma"
        await add("Persuasion")
        assert (await anext(books)).title == "Persuasion"


async def test_feed_shows_no_book_of_another_shelf(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    async with shop.watch_books(WatchBooksRequest(shelf="novels")) as books:
        await anext(books)
        faust = Book(title="Faust", price=Price(cents=1))
        await shop.add_book(AddBookRequest(shelf="plays", book=faust))
        await add("Persuasion")
        assert (await anext(books)).title == "Persuasion"


async def test_remark_is_heard_by_all_at_the_shelf_and_nowhere_else(shop: BookshopClient) -> None:
    async with shop.chat() as ada, shop.chat() as bob, shop.chat() as eve:
        for reader, talk in (("Bob", bob), ("Eve", eve)):
            shelf = "plays" if reader == "Eve" else "novels"
            await talk.send(says(reader, "Hello", shelf))
            assert (await anext(talk)).reader == reader
        await ada.send(says("Ada", "Emma?"))
        assert await anext(ada) == await anext(bob) == says("Ada", "Emma?")
        await eve.send(says("Eve", "Faust?", "plays"))
        assert (await anext(eve)).reader == "Eve"


async def test_talk_of_one_who_leaves_ends_and_the_others_go_on(shop: BookshopClient) -> None:
    async with shop.chat() as bob:
        await bob.send(says("Bob", "Hello"))
        await anext(bob)
        async with shop.chat() as ada:
            await ada.send(says("Ada", "Bye"))
            await anext(ada)
            await ada.end()
            assert [remark async for remark in ada] == []
        assert (await anext(bob)).reader == "Ada"
        await bob.send(says("Bob", "Alone"))
        assert (await anext(bob)).text == "Alone"


async def test_who_says_nothing_hears_nothing_and_leaves_well(shop: BookshopClient) -> None:
    async with shop.chat() as ada:
        await ada.end()
        assert [remark async for remark in ada] == []


async def test_failure_of_one_direction_ends_the_other() -> None:
    async def remarks() -> AsyncIterator[Remark]:
        yield says("Ada", "Hello")
        raise Error(400, "CODEC", "no remark")

    heard: list[Remark] = []

    async def send(remark: Remark) -> None:
        heard.append(remark)

    with pytest.raises(Error, match="no remark"):
        await Chat().join(remarks(), send)


async def test_broadcast_reaches_those_who_listen_at_the_time() -> None:
    broadcast = Broadcast[int]()
    broadcast.publish("a", 1)
    with broadcast.listen("a") as first:
        broadcast.publish("a", 2)
        with broadcast.listen("a") as second:
            broadcast.publish("b", 3)
            broadcast.publish("a", 4)
            assert [await anext(first), await anext(first), await anext(second)] == [2, 4, 4]


async def test_listener_that_falls_behind_is_told_so_and_holds_up_nobody() -> None:
    broadcast = Broadcast[int](backlog=2)
    with broadcast.listen("a") as slow, broadcast.listen("a") as quick:
        for number in range(3):
            broadcast.publish("a", number)
            assert await anext(quick) == number
        with pytest.raises(Error) as caught:
            await anext(slow)
        assert is_listener_too_slow(caught.value)


async def test_topic_to_which_nobody_listens_is_forgotten() -> None:
    broadcast = Broadcast[int]()
    with broadcast.listen("a"):
        pass
    assert not broadcast._listeners  # pyright: ignore[reportPrivateUsage]
