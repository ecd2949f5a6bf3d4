"""A feed of new books, and the talk of two readers."""

from __future__ import annotations

from bookshop.v1.bookshop_kratos import (
    BOOKSHOP_ADD_BOOK,
    BOOKSHOP_CHAT,
    BOOKSHOP_WATCH_BOOKS,
    BookshopClient,
)
from bookshop.v1.bookshop_pb2 import AddBookRequest, Book, Price, Remark, WatchBooksRequest

from kratos.transport import CallOptions, Duplexed
from kratos_cli.demo.tour.guide import Guide

__all__ = ["chat", "watch"]

_NEW = "Mansfield Park"


async def watch(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Watch a shelf until a new book comes."""

    async def see(options: CallOptions) -> list[str]:
        seen: list[str] = []
        async with shop.watch_books(WatchBooksRequest(shelf=shelf), options=options) as books:
            async for book in books:
                seen.append(book.title)
                if len(seen) == 1:
                    await _add_another(guide, shop, shelf)
                if book.title == _NEW:
                    break
        return seen

    await guide.follow(BOOKSHOP_WATCH_BOOKS, see, show=", then ".join)


async def chat(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Let Ada ask, and Bob answer."""

    async def bob(options: CallOptions) -> list[str]:
        async with shop.chat(options=options) as talk:
            heard = [await _say(talk, "Good evening.", by="Bob", at=shelf)]

            async def ada(options: CallOptions) -> list[str]:
                async with shop.chat(options=options) as hers:
                    question = await _say(hers, "Who has read Emma?", by="Ada", at=shelf)
                    heard.append(_told(await anext(talk)))
                    heard.append(await _say(talk, "I have, twice.", by="Bob", at=shelf))
                    return [question, _told(await anext(hers))]

            await guide.follow(BOOKSHOP_CHAT, ada, show=" ".join)
            return heard

    await guide.follow(BOOKSHOP_CHAT, bob, show=" ".join)


async def _say(talk: Duplexed[Remark, Remark], text: str, *, by: str, at: str) -> str:
    """Say something, and return it as it is heard by all, oneself included."""
    await talk.send(Remark(shelf=at, reader=by, text=text))
    return _told(await anext(talk))


async def _add_another(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    book = Book(title=_NEW, price=Price(currency="EUR", cents=1490), in_stock=3)
    await guide.call(
        BOOKSHOP_ADD_BOOK,
        shop.add_book,
        AddBookRequest(shelf=shelf, book=book),
        show=lambda book: book.name,
    )


def _told(remark: Remark) -> str:
    return f"{remark.reader}: “{remark.text}”"
