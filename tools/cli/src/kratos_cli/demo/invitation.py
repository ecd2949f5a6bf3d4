"""What to try while the services stay up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from kratos.registry import Discovery, get_service
from kratos_cli.demo.account import Account
from kratos_cli.demo.figures import DEBUG, METRICS, is_counting

__all__ = ["invite"]

_SHELF = "/v1/shelves/novels/books"
_JSON = "-H 'Content-Type: application/json'"
_CHANGE = """-d '{"price": {"cents": "850"}}'"""
_CUSTOMER = """-d '{"customer": "you"}'"""
_BOOK = """-d '{"title": "Lady Susan", "price": {"currency": "EUR", "cents": "690"}}'"""
_FORM = "-F title=Sanditon -F authors='Jane Austen' -F price.currency=EUR -F price.cents=790"

_LIST = """\
import asyncio
from kratos import Client
from kratos.pagination import follow
from bookshop.v1.bookshop_kratos import BookshopClient
from bookshop.v1.bookshop_pb2 import ListBooksRequest
async def main():
    async with Client('{grpc}') as caller:
        request = ListBooksRequest(shelf='novels', page_size=2)
        async for page in follow(BookshopClient(caller).list_books, request):
            print([book.title for book in page.books])
asyncio.run(main())"""

_CHAT = """\
import asyncio
from kratos import Client
from bookshop.v1.bookshop_kratos import BookshopClient
from bookshop.v1.bookshop_pb2 import Remark
async def main():
    async with Client('{http}') as caller, BookshopClient(caller).chat() as chat:
        await chat.send(Remark(shelf='novels', reader='you', text='Is anybody here?'))
        async for remark in chat:
            print(remark.reader + ':', remark.text)
asyncio.run(main())"""


async def invite(account: Account, discovery: Discovery, generated: Path) -> None:
    """Print commands that work as they stand.

    Args:
        account: Where they are printed.
        discovery: Knows where the services are.
        generated: Folder of the generated packages.
    """
    greeter = await _url(discovery, "greeter", "http")
    shop = await _url(discovery, "bookshop", "http")
    account.title("The services stay up; Ctrl-C ends them. Try:")
    for what, command in _commands(greeter, shop):
        account.note(f"# {what}")
        account.plain(f"  {command}")
    debug = (await get_service(discovery, "bookshop"))[0].metadata[DEBUG]
    account.note("# a look into the process")
    account.plain(f"  {debug}/debug")
    if is_counting():
        account.note("# its figures")
        account.plain(f"  curl {debug}{METRICS}")
    grpc = await _url(discovery, "bookshop", "grpc")
    _python(account, generated, "all pages of a list, from Python by gRPC", _LIST, grpc=grpc)
    _python(account, generated, "a talk over a WebSocket, in two terminals", _CHAT, http=shop)


def _commands(greeter: str, shop: str) -> Iterator[tuple[str, str]]:
    books = shop + _SHELF
    mask = "updateMask=price.cents"
    yield "every method, in a browser", f"{shop}/docs"
    yield "a greeting", f"curl {greeter}/helloworld/you"
    yield "a page of a list", f"curl '{books}?pageSize=1'"
    yield "one field changes", f"curl -X PATCH '{books}/persuasion?{mask}' {_JSON} {_CHANGE}"
    yield "a copy is laid aside", f"curl {books}/persuasion:reserve {_JSON} {_CUSTOMER}"
    yield "an error", f"curl -i {books}/ulysses"
    yield "a cover comes down", f"curl -o cover.png {books}/persuasion/cover"
    yield "and goes up", f"curl -T cover.png -H 'Content-Type: image/png' {books}/emma/cover"
    yield "new books, as they come", f"curl -N {books}:watch"
    yield "one of them, from another terminal", f"curl {books} {_JSON} {_BOOK}"
    yield "and one from a form", f"curl {_FORM} {books}"


def _python(account: Account, generated: Path, what: str, program: str, **urls: str) -> None:
    account.note(f"# {what}")
    code = program.format(**urls)
    account.plain(f'  PYTHONPATH={generated} {sys.executable} -c "{code}"')


async def _url(discovery: Discovery, name: str, scheme: str) -> str:
    instance = (await get_service(discovery, name))[0]
    return next(url for url in instance.endpoints if url.startswith(f"{scheme}://"))
