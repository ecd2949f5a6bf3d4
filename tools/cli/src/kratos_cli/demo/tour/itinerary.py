"""What is shown, in which order, over which transport."""

from __future__ import annotations

import itertools

from bookshop.v1.bookshop_kratos import BookshopClient
from helloworld.greeter_kratos import GREETER_SAY_HELLO, GreeterClient
from helloworld.greeter_pb2 import HelloRequest

from kratos import Client
from kratos_cli.demo.account import Account
from kratos_cli.demo.stage import Process
from kratos_cli.demo.tour import books, covers, misuse, sales, streams
from kratos_cli.demo.tour.guide import Guide

__all__ = ["take"]


async def take(account: Account, processes: dict[str, Process], registry: str) -> None:
    """Call both services over both transports.

    Args:
        account: Where it is told.
        processes: The services by name.
        registry: URL of the registry.

    Raises:
        StageError: A call did not end as it has to.
    """
    ids = itertools.count(1)
    for by in ("http", "grpc"):
        guide = Guide(account, processes, by, ids)
        async with (
            Client("discovery:///greeter", transport=by, discovery=registry) as greeter,
            Client("discovery:///bookshop", transport=by, discovery=registry) as bookshop,
        ):
            shop = BookshopClient(bookshop)
            account.part("A greeting" if by == "http" else "The same services, by gRPC")
            await _greet(guide, GreeterClient(greeter))
            if by == "http":
                await _show_all(guide, shop, "novels")
                account.part("What the definition does not offer")
                await misuse.show(account, bookshop.nodes.nodes[0].address)
            else:
                await _show_again(guide, shop, "classics")


async def _greet(guide: Guide, greeter: GreeterClient) -> None:
    await guide.call(
        GREETER_SAY_HELLO,
        greeter.say_hello,
        HelloRequest(name=guide.by),
        show=lambda reply: reply.message,
    )


async def _show_all(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    tell = guide.account.part
    tell("Books come, and are listed in pages by signed tokens")
    await books.add(guide, shop, shelf)
    await books.list_in_pages(guide, shop, shelf)
    tell("They are changed by field mask, unless they have changed meanwhile, and deleted")
    await books.change(guide, shop, shelf)
    await books.delete(guide, shop, shelf)
    tell("Copies are laid aside and sold; the greeter writes the dedication")
    await sales.sell(guide, shop, shelf)
    tell("Covers are pictures, no JSON")
    await covers.show(guide, shop, shelf)
    tell("New books come as server-sent events; readers talk over a WebSocket")
    await streams.watch(guide, shop, shelf)
    await streams.chat(guide, shop, shelf)
    tell("Errors are part of the definition")
    await books.fail(guide, shop, shelf)
    await sales.fail(guide, shop, shelf)


async def _show_again(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    await books.add(guide, shop, shelf)
    await books.list_in_pages(guide, shop, shelf)
    await books.change(guide, shop, shelf)
    await books.delete(guide, shop, shelf)
    await sales.sell(guide, shop, shelf)
    await covers.show(guide, shop, shelf)
    await streams.watch(guide, shop, shelf)
    await streams.chat(guide, shop, shelf)
