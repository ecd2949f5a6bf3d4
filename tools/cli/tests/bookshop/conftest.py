"""The demo's bookshop in this process, with its definitions compiled."""

from __future__ import annotations

import atexit
import sys
import tempfile
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kratos import Service, local
from kratos.testing.clock import FakeClock
from kratos_cli.proto import compile_protos

if TYPE_CHECKING:
    from bookshop.v1.bookshop_kratos import BookshopClient
    from bookshop.v1.bookshop_pb2 import Book


def _compile() -> Path:
    """Compile the definitions before the tests that import them are collected."""
    generated = tempfile.TemporaryDirectory(prefix="kratos-bookshop-")
    atexit.register(generated.cleanup)
    out = Path(generated.name)
    with as_file(files("kratos_cli.demo") / "api") as api:
        compile_protos(sorted(api.rglob("*.proto")), roots=[api], out=out)
    return out


sys.path.insert(0, str(_compile()))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def service(clock: FakeClock) -> Service:
    greeter: Any = import_module("kratos_cli.demo.greeter").GreeterService()
    client: Any = import_module("helloworld.greeter_kratos").GreeterClient(local(greeter))
    made: Service = import_module("kratos_cli.demo.bookshop").BookshopService(client, clock=clock)
    return made


@pytest.fixture
def shop(service: Service) -> BookshopClient:
    """Return a client of a shop; what it is sent and sends is encoded, as over a wire."""
    client: type[BookshopClient] = import_module("bookshop.v1.bookshop_kratos").BookshopClient
    return client(local(service, encode=True))


AddBook = Callable[..., Awaitable["Book"]]


@pytest.fixture
def add(shop: BookshopClient) -> AddBook:
    """Return a function that puts a book on a shelf."""
    messages: Any = import_module("bookshop.v1.bookshop_pb2")

    async def add_book(title: str, *, cents: int = 990, in_stock: int = 1, **fields: Any) -> Book:
        price = messages.Price(currency="EUR", cents=cents)
        book = messages.Book(title=title, price=price, in_stock=in_stock, **fields)
        return await shop.add_book(messages.AddBookRequest(shelf="novels", book=book))

    return add_book
