"""Pictures of books, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from bookshop.v1.bookshop_kratos import error_cover_invalid, error_cover_not_found
from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]

__all__ = ["Covers", "assemble"]

_TYPES = ("image/jpeg", "image/png", "image/webp")
_MAX_BYTES = 2**20
_PIECE = 2**16  # bytes


async def assemble(pieces: AsyncIterator[HttpBody]) -> HttpBody:
    """Return a picture that comes in pieces; the first one says of which type.

    What is none is refused as soon as that shows, and the rest is not waited for.

    Raises:
        Error: COVER_INVALID.
    """
    image = HttpBody()
    data = bytearray()
    async for piece in pieces:
        image.content_type = image.content_type or piece.content_type
        if image.content_type not in _TYPES:
            raise error_cover_invalid(
                f"a cover is one of {', '.join(_TYPES)}, and not {image.content_type!r}"
            )
        data += piece.data
        if len(data) > _MAX_BYTES:
            raise error_cover_invalid(f"a cover has at most {_MAX_BYTES} bytes")
    if not data:
        raise error_cover_invalid("a cover has bytes, and there were none")
    image.data = bytes(data)
    return image


class Covers:
    """Keeps the cover of each book that has one."""

    def __init__(self) -> None:
        self._images: dict[str, HttpBody] = {}

    def put(self, book: str, image: HttpBody) -> None:
        """Keep a picture as the cover of a book."""
        self._images[book] = image

    def pieces(self, book: str) -> Iterator[HttpBody]:
        """Return the cover of a book piece by piece.

        Raises:
            Error: COVER_NOT_FOUND.
        """
        image = self._images.get(book)
        if image is None:
            raise error_cover_not_found(f"{book} has no cover")
        for at in range(0, len(image.data), _PIECE):
            data = image.data[at : at + _PIECE]
            yield HttpBody(content_type=image.content_type, data=data)

    def remove(self, book: str) -> None:
        """Forget the cover of a book, if it has one."""
        self._images.pop(book, None)
