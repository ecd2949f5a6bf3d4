"""The calls of the demo, and what has to come of each."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from bookshop.v1.bookshop_kratos import (
    BookshopClient,
    is_book_invalid,
    is_book_not_found,
    is_book_sold_out,
)
from bookshop.v1.bookshop_pb2 import (
    PAPERBACK,
    AddBookRequest,
    Book,
    BuyBookRequest,
    GetBookRequest,
    ListBooksRequest,
    Price,
)
from helloworld.greeter_kratos import GreeterClient
from helloworld.greeter_pb2 import HelloRequest

from kratos import Client, Error
from kratos.transport import CallOptions
from kratos_cli.demo.account import Account
from kratos_cli.demo.journal import CALL_ID
from kratos_cli.demo.stage import Process, StageError

__all__ = ["Tour"]

_EMMA = "shelves/novels/books/emma"


class Tour:
    """Calls both services over both transports, and tells what came of it.

    Args:
        account: Where it is told.
        processes: The services by name.
        registry: URL of the registry.
    """

    def __init__(self, account: Account, processes: dict[str, Process], registry: str) -> None:
        self._account = account
        self._processes = processes
        self._registry = registry
        self._ids = map(str, itertools.count(1))

    async def take(self) -> None:
        """Make all calls.

        Raises:
            StageError: A call did not end as it has to.
        """
        for transport in ("http", "grpc"):
            async with (
                self._client("greeter", transport) as greeter,
                self._client("bookshop", transport) as bookshop,
            ):
                await self._greet(GreeterClient(greeter), transport)
                await self._sell(BookshopClient(bookshop), transport)
                await self._fail(BookshopClient(bookshop), transport)
                if transport == "http":
                    node = bookshop.nodes.nodes[0]
                    await self._misuse(node.address)

    def _client(self, name: str, transport: str) -> Client:
        return Client(f"discovery:///{name}", transport=transport, discovery=self._registry)

    async def _greet(self, greeter: GreeterClient, by: str) -> None:
        what = "GET /helloworld/{name}" if by == "http" else "SayHello"
        await self._call(
            "greeter",
            by,
            what,
            lambda o: greeter.say_hello(HelloRequest(name=by), options=o),
            show=lambda reply: reply.message,
        )

    async def _sell(self, shop: BookshopClient, by: str) -> None:
        http = by == "http"
        for title, cents in (("Emma", 1250), ("Persuasion", 990)):
            book = Book(
                title=title,
                authors=["Jane Austen"],
                binding=PAPERBACK,
                price=Price(currency="EUR", cents=cents),
                in_stock=1,
            )
            request = AddBookRequest(shelf="novels", book=book)
            await self._call(
                "bookshop",
                by,
                "POST /v1/shelves/{shelf}/books" if http else "AddBook",
                partial(_add, shop, request),
                show=lambda book: book.name,
            )
        listing = ListBooksRequest(shelf="novels", limit=5, bindings=[PAPERBACK])
        await self._call(
            "bookshop",
            by,
            "GET /v1/shelves/{shelf}/books?limit=5…" if http else "ListBooks",
            lambda o: shop.list_books(listing, options=o),
            show=lambda listed: ", ".join(book.title for book in listed.books),
        )
        await self._call(
            "bookshop",
            by,
            "GET /v1/shelves/{shelf}/books:browse" if http else "BrowseBooks",
            partial(_browse, shop, listing),
            show=lambda books: " then ".join(book.title for book in books),
        )
        await self._call(
            "bookshop",
            by,
            "POST /v1/{name}:buy" if http else "BuyBook",
            lambda o: shop.buy_book(BuyBookRequest(name=_EMMA, customer="Ada"), options=o),
            show=lambda receipt: receipt.dedication,
        )

    async def _fail(self, shop: BookshopClient, by: str) -> None:
        http = by == "http"
        missing = GetBookRequest(name="shelves/novels/books/ulysses")
        await self._call(
            "bookshop",
            by,
            "GET /v1/{name=shelves/*/books/*}" if http else "GetBook",
            lambda o: shop.get_book(missing, options=o),
            fails=is_book_not_found,
        )
        await self._call(
            "bookshop",
            by,
            "POST /v1/{name}:buy" if http else "BuyBook",
            lambda o: shop.buy_book(BuyBookRequest(name=_EMMA, customer="Bob"), options=o),
            fails=is_book_sold_out,
        )
        await self._call(
            "bookshop",
            by,
            "POST /v1/shelves/{shelf}/books" if http else "AddBook",
            lambda o: shop.add_book(AddBookRequest(shelf="novels", book=Book()), options=o),
            fails=is_book_invalid,
        )
        nobody = BuyBookRequest(name="shelves/novels/books/persuasion")
        await self._call(
            "bookshop",
            by,
            "POST /v1/{name}:buy" if http else "BuyBook",
            lambda o: shop.buy_book(nobody, options=o),
            fails=lambda error: error.reason == "NAME_MISSING",
        )

    async def _misuse(self, address: str) -> None:
        """Ask over plain HTTP for what the definition does not offer."""
        for verb, path, code in (
            ("GET", "/v1/shelves/novels/books?limit=many", 400),
            ("DELETE", "/v1/shelves/novels/books", 405),
            ("GET", "/nowhere", 404),
        ):
            start = time.perf_counter()
            status, body = await asyncio.to_thread(_plain, address, verb, path)
            ms = (time.perf_counter() - start) * 1000
            answer = f"{body.get('reason', '')} {body.get('message', '')}".strip()
            self._account.call(
                "you", "bookshop", "http", f"{verb} {path}", code=status, answer=answer, ms=ms
            )
            if status != code:
                raise StageError(f"{verb} {path} was answered {status} and not {code}: {body}")

    async def _call(
        self,
        target: str,
        by: str,
        what: str,
        call: Callable[[CallOptions], Awaitable[Any]],
        *,
        show: Callable[[Any], str] = str,
        fails: Callable[[Error], bool] | None = None,
    ) -> None:
        number = next(self._ids)
        options = CallOptions(headers={CALL_ID: number}, timeout=10.0)
        start = time.perf_counter()
        error: Error | None = None
        code, answer = 200, ""
        try:
            answer = show(await call(options))
        except Error as raised:
            error, code, answer = raised, raised.code, f"{raised.reason} {raised.message}"
        ms = (time.perf_counter() - start) * 1000
        self._account.call("you", target, by, what, code=code, answer=answer, ms=ms)
        for entry in await self._processes[target].entries(number):
            if entry.side == "client":
                self._account.caused(entry)
        if (error is None) != (fails is None) or (error and fails and not fails(error)):
            raise StageError(f"{what} on {target} over {by} ended with {code} {answer}") from error


async def _add(shop: BookshopClient, request: AddBookRequest, options: CallOptions) -> Book:
    return await shop.add_book(request, options=options)


async def _browse(
    shop: BookshopClient, request: ListBooksRequest, options: CallOptions
) -> list[Book]:
    async with shop.browse_books(request, options=options) as books:
        return [book async for book in books]


def _plain(address: str, verb: str, path: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(verb, path)
        reply = connection.getresponse()
        body: dict[str, Any] = json.loads(reply.read())
        return reply.status, body
    finally:
        connection.close()
