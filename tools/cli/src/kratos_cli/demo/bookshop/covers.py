"""Pictures of books, in memory."""

from __future__ import annotations

from bookshop.v1.bookshop_kratos import error_cover_invalid, error_cover_not_found
from google.api.httpbody_pb2 import HttpBody  # type: ignore[import-untyped]

__all__ = ["Covers"]

_TYPES = ("image/jpeg", "image/png", "image/webp")
_MAX_BYTES = 2**20


class Covers:
    """Keeps the cover of each book that has one."""

    def __init__(self) -> None:
        self._images: dict[str, HttpBody] = {}

    def put(self, book: str, image: HttpBody) -> None:
        """Keep a picture as the cover of a book.

        Raises:
            Error: COVER_INVALID.
        """
        if image.content_type not in _TYPES:
            raise error_cover_invalid(
                f"a cover is one of {', '.join(_TYPES)}, and not {image.content_type!r}"
            )
        if not 0 < len(image.data) <= _MAX_BYTES:
            raise error_cover_invalid(
                f"a cover has 1 to {_MAX_BYTES} bytes, and not {len(image.data)}"
            )
        self._images[book] = image

    def get(self, book: str) -> HttpBody:
        """Return the cover of a book.

        Raises:
            Error: COVER_NOT_FOUND.
        """
        image = self._images.get(book)
        if image is None:
            raise error_cover_not_found(f"{book} has no cover")
        return image

    def remove(self, book: str) -> None:
        """Forget the cover of a book, if it has one."""
        self._images.pop(book, None)
