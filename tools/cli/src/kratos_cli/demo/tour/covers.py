"""Covers go up and come down."""

from __future__ import annotations

import struct
import zlib

from bookshop.v1.bookshop_kratos import (
    BOOKSHOP_DOWNLOAD_COVER,
    BOOKSHOP_UPLOAD_COVER,
    BookshopClient,
    is_cover_invalid,
    is_cover_not_found,
)
from bookshop.v1.bookshop_pb2 import DownloadCoverRequest, UploadCoverRequest
from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]

from kratos_cli.demo.stage import StageError
from kratos_cli.demo.tour.guide import Guide

__all__ = ["png", "show"]

_BLUE = (40, 70, 140)


async def show(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Send a picture and get it back."""
    name = f"shelves/{shelf}/books/persuasion"
    image = HttpBody(content_type="image/png", data=png(120, 180, _BLUE))
    await guide.call(
        BOOKSHOP_UPLOAD_COVER,
        shop.upload_cover,
        UploadCoverRequest(name=name, image=image),
        show=lambda cover: f"{cover.content_type}, {cover.size} bytes",
    )
    got = await guide.call(
        BOOKSHOP_DOWNLOAD_COVER,
        shop.download_cover,
        DownloadCoverRequest(name=name),
        show=lambda image: f"{image.content_type}, {len(image.data)} bytes",
    )
    if (got.content_type, got.data) != (image.content_type, image.data):
        raise StageError(f"the cover of {name} came back as another one")
    if guide.by == "grpc":
        return
    await guide.refused(
        BOOKSHOP_DOWNLOAD_COVER,
        shop.download_cover,
        DownloadCoverRequest(name=f"shelves/{shelf}/books/emma"),
        by=is_cover_not_found,
    )
    await guide.refused(
        BOOKSHOP_UPLOAD_COVER,
        shop.upload_cover,
        UploadCoverRequest(name=name, image=HttpBody(content_type="text/html", data=b"<p>")),
        by=is_cover_invalid,
    )


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """Return a picture of one colour (https://www.w3.org/TR/png/)."""
    rows = (b"\0" + bytes(colour) * width) * height  # each with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of red, green, blue
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
