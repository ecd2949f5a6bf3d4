from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from bookshop.v1.bookshop_kratos import (
    BookshopClient,
    is_book_not_found,
    is_cover_invalid,
    is_cover_not_found,
)
from bookshop.v1.bookshop_pb2 import (
    Book,
    Cover,
    DeleteBookRequest,
    DownloadCoverRequest,
    UploadCoverRequest,
)
from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]

from kratos import Error
from kratos_cli.demo.bookshop.covers import assemble

AddBook = Callable[..., Awaitable[Book]]

EMMA = "shelves/novels/books/emma"
PNG = "image/png"


def pieces(*data: bytes, kind: str = PNG) -> list[UploadCoverRequest]:
    """Return the requests of an upload; as over HTTP, each has the name and the type."""
    return [
        UploadCoverRequest(name=EMMA, image=HttpBody(content_type=kind, data=one)) for one in data
    ]


async def downloaded(shop: BookshopClient) -> list[HttpBody]:
    async with shop.download_cover(DownloadCoverRequest(name=EMMA)) as replies:
        return [reply async for reply in replies]


async def test_picture_comes_back_as_it_was_sent(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    assert await shop.upload_cover(pieces(b"a ", b"picture")) == Cover(content_type=PNG, size=9)
    assert await downloaded(shop) == [HttpBody(content_type=PNG, data=b"a picture")]


async def test_large_picture_comes_back_in_pieces(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    await shop.upload_cover(pieces(bytes(2**20)))
    assert [len(piece.data) for piece in await downloaded(shop)] == [2**16] * 16


async def test_new_picture_takes_the_place_of_the_old_one(
    shop: BookshopClient, add: AddBook
) -> None:
    await add("Emma")
    await shop.upload_cover(pieces(b"old"))
    await shop.upload_cover(pieces(b"new", kind="image/webp"))
    assert await downloaded(shop) == [HttpBody(content_type="image/webp", data=b"new")]


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        (pieces(b"<script>", kind="text/html"), "and not 'text/html'"),
        (pieces(b""), "there were none"),
        (pieces(bytes(2**20), b"1"), "at most 1048576 bytes"),
    ],
)
async def test_what_is_no_cover_is_refused(
    shop: BookshopClient, add: AddBook, requests: list[UploadCoverRequest], said: str
) -> None:
    await add("Emma")
    with pytest.raises(Error, match=said) as caught:
        await shop.upload_cover(requests)
    assert is_cover_invalid(caught.value)


async def test_what_is_no_cover_is_not_read_to_its_end() -> None:
    taken: list[int] = []

    async def endless() -> AsyncIterator[HttpBody]:
        for number in itertools.count():
            taken.append(number)
            yield HttpBody(content_type=PNG, data=bytes(2**18))

    with pytest.raises(Error, match="at most 1048576 bytes"):
        await assemble(endless())
    assert len(taken) == 5


async def test_cover_belongs_to_a_book(shop: BookshopClient) -> None:
    for call in (shop.upload_cover(pieces(b"a picture")), shop.upload_cover([]), downloaded(shop)):
        with pytest.raises(Error) as caught:
            await call
        assert is_book_not_found(caught.value)


async def test_book_that_goes_while_its_cover_comes_has_none(
    shop: BookshopClient, add: AddBook
) -> None:
    await add("Emma")

    async def requests() -> AsyncIterator[UploadCoverRequest]:
        yield pieces(b"a ")[0]
        await shop.delete_book(DeleteBookRequest(name=EMMA))
        yield pieces(b"picture")[0]

    with pytest.raises(Error) as caught:
        await shop.upload_cover(requests())
    assert is_book_not_found(caught.value)


async def test_cover_goes_with_its_book(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    await shop.upload_cover(pieces(b"a picture"))
    await shop.delete_book(DeleteBookRequest(name=EMMA))
    await add("Emma")
    with pytest.raises(Error) as caught:
        await downloaded(shop)
    assert is_cover_not_found(caught.value)
