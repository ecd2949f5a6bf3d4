from __future__ import annotations

from collections.abc import Awaitable, Callable

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

AddBook = Callable[..., Awaitable[Book]]

EMMA = "shelves/novels/books/emma"
PICTURE = HttpBody(content_type="image/png", data=b"a picture")


async def test_picture_comes_back_as_it_was_sent(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    kept = await shop.upload_cover(UploadCoverRequest(name=EMMA, image=PICTURE))
    assert kept == Cover(content_type="image/png", size=9)
    assert await shop.download_cover(DownloadCoverRequest(name=EMMA)) == PICTURE


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (HttpBody(content_type="text/html", data=b"<script>"), "and not 'text/html'"),
        (HttpBody(content_type="image/png"), "1 to 1048576 bytes, and not 0"),
        (HttpBody(content_type="image/png", data=bytes(2**20 + 1)), "and not 1048577"),
    ],
)
async def test_what_is_no_cover_is_refused(
    shop: BookshopClient, add: AddBook, image: HttpBody, said: str
) -> None:
    await add("Emma")
    with pytest.raises(Error, match=said) as caught:
        await shop.upload_cover(UploadCoverRequest(name=EMMA, image=image))
    assert is_cover_invalid(caught.value)


async def test_cover_belongs_to_a_book(shop: BookshopClient) -> None:
    for call in (
        shop.upload_cover(UploadCoverRequest(name=EMMA, image=PICTURE)),
        shop.download_cover(DownloadCoverRequest(name=EMMA)),
    ):
        with pytest.raises(Error) as caught:
            await call
        assert is_book_not_found(caught.value)


async def test_cover_goes_with_its_book(shop: BookshopClient, add: AddBook) -> None:
    await add("Emma")
    await shop.upload_cover(UploadCoverRequest(name=EMMA, image=PICTURE))
    await shop.delete_book(DeleteBookRequest(name=EMMA))
    await add("Emma")
    with pytest.raises(Error) as caught:
        await shop.download_cover(DownloadCoverRequest(name=EMMA))
    assert is_cover_not_found(caught.value)
