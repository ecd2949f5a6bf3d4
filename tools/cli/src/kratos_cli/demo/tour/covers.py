"""Covers go up and come down."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TypeAlias

from bookshop.v1.bookshop_kratos import (
    BOOKSHOP_DOWNLOAD_COVER,
    BOOKSHOP_UPLOAD_COVER,
    BookshopClient,
    is_cover_invalid,
    is_cover_not_found,
)
from bookshop.v1.bookshop_pb2 import DownloadCoverRequest, UploadCoverRequest
from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]

from kratos.transport import CallOptions
from kratos_cli.demo.stage import StageError
from kratos_cli.demo.tour.guide import Guide, Unary

__all__ = ["png", "show"]

Download: TypeAlias = Unary[DownloadCoverRequest, tuple[str, bytes]]

_BLUE = (40, 70, 140)
_PIECE = 200  # bytes, so that even a small picture has several


async def show(guide: Guide, shop: BookshopClient, shelf: str) -> None:
    """Send a picture in pieces, and get it back in pieces."""
    name = f"shelves/{shelf}/books/persuasion"
    picture = png(120, 180, _BLUE)
    await guide.call(
        BOOKSHOP_UPLOAD_COVER,
        shop.upload_cover,
        _pieces(name, "image/png", picture),
        show=lambda cover: f"{cover.content_type}, {cover.size} bytes",
    )
    download = _download(shop)
    kind, data = await guide.call(
        BOOKSHOP_DOWNLOAD_COVER,
        download,
        DownloadCoverRequest(name=name),
        show=lambda cover: f"{cover[0]}, {len(cover[1])} bytes",
    )
    if (kind, data) != ("image/png", picture):
        raise StageError(f"the cover of {name} came back as another one")
    if guide.by == "grpc":
        return
    await guide.refused(
        BOOKSHOP_DOWNLOAD_COVER,
        download,
        DownloadCoverRequest(name=f"shelves/{shelf}/books/emma"),
        by=is_cover_not_found,
    )
    await guide.refused(
        BOOKSHOP_UPLOAD_COVER,
        shop.upload_cover,
        _pieces(name, "text/html", b"<p>"),
        by=is_cover_invalid,
    )


def _pieces(name: str, kind: str, data: bytes) -> Iterator[UploadCoverRequest]:
    for at in range(0, len(data), _PIECE):
        image = HttpBody(content_type=kind, data=data[at : at + _PIECE])
        yield UploadCoverRequest(name=name, image=image)


def _download(shop: BookshopClient) -> Download:
    async def download(
        request: DownloadCoverRequest, /, *, options: CallOptions | None = None
    ) -> tuple[str, bytes]:
        kind, data = "", b""
        async with shop.download_cover(request, options=options) as pieces:
            async for piece in pieces:
                kind = kind or piece.content_type
                data += piece.data
        return kind, data

    return download


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """Return a picture of one colour (https://www.w3.org/TR/png/)."""
    rows = (b"\0" + bytes(colour) * width) * height  # each with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of red, green, blue
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
