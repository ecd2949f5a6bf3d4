"""Bodies: read whole within a limit, and watched to their end."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from typing import Final, TypeVar

from kratos.errors import Error
from kratos.offload import offload
from kratos.transport.cause import Cause
from kratos.transport.http import WireHeaders
from kratos_gateway.exchange import Body

__all__ = ["Watched", "made_of", "read_whole", "too_large"]

T = TypeVar("T")

_LONG: Final = 32 * 1024  # bytes that take more than a millisecond, so that a thread has to


def too_large(limit: int, /) -> Error:
    """Return the error of a request whose body has more bytes than ``limit``."""
    return Error(413, "BODY_TOO_LARGE", f"the body has more than {limit} bytes")


async def read_whole(body: bytes | Body, limit: int, /) -> bytes:
    """Return all of a body; it is closed if that fails.

    Raises:
        Error: 413: it has more than ``limit`` bytes. Or it broke off.
        OSError: Its sender was lost.
    """
    if isinstance(body, bytes):
        if len(body) > limit:
            raise too_large(limit)
        return body
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await body.read():
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            pieces.append(piece)
    except BaseException:
        body.close()
        raise
    return b"".join(pieces)


async def made_of(data: bytes, make: Callable[[bytes], T], /, *, long: bool = False) -> T:
    """Return what a function makes of some bytes: in a thread, where there are many.

    Args:
        data: They.
        make: The function, which may raise what it likes.
        long: Whether it takes long all the same, as where they are compressed.
    """
    return await offload(make, data) if long or len(data) > _LONG else make(data)


class Watched:
    """A body that tells, once, when it has ended.

    Args:
        body: It.
        ended: Told ``None`` at the clean end, else what it ended with.
    """

    __slots__ = ("_body", "_ended")

    def __init__(self, body: Body, ended: Callable[[Exception | None], None]) -> None:
        self._body: Final = body
        self._ended: Callable[[Exception | None], None] | None = ended

    @property
    def trailers(self) -> WireHeaders:
        """Trailers, once it has ended."""
        return self._body.trailers

    async def read(self) -> bytes:
        """Return the next piece; see ``Body``."""
        try:
            piece = await self._body.read()
        except CancelledError:
            raise  # nothing is lost: it may be read on
        except Exception as error:
            self._tell(error)
            raise
        if not piece:
            self._tell(None)
        return piece

    def close(self) -> None:
        """Cut off what has not ended."""
        self._body.close()
        if self._ended is not None:
            self._tell(Cause.CALLER.error())

    def _tell(self, error: Exception | None) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(error)
