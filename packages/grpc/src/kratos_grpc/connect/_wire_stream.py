"""A client's stream over Connect."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final, cast

from kratos.errors import Error
from kratos.transport import Call
from kratos.transport.http import WireHeaders
from kratos_grpc._codings import MINIMUM, Coding, compressed
from kratos_grpc._envelopes import COMPRESSED, PLAIN, Envelopes, envelope
from kratos_grpc._turns import MANY, Turns
from kratos_grpc.connect._errors import encodable, read_error
from kratos_grpc.connect._formats import Format
from kratos_grpc.connect._reading import (
    expanded,
    frozen,
    lost,
    of_reply,
    parsed,
    refused,
    reply_coding,
    require_type,
    value_of,
)
from kratos_grpc.connect._stream import END
from kratos_http.carrier import TooLarge, Transmission

__all__ = ["ConnectStream"]

_OK: Final = 200
_UNKNOWN: Final = 2


class ConnectStream:
    """A ``WireStream`` of envelopes.

    Args:
        call: The call; gets headers and trailers.
        form: How its messages are written and read.
        transmission: Where they go.
        coding: Of long requests; ``None`` for none.
        most: Bytes of the largest reply.

    Attributes:
        end_flag: Of the envelope that tells how the call ended.
    """

    end_flag: ClassVar[int] = END

    __slots__ = (
        "_call", "_coding", "_ended", "_envelopes", "_form", "_half_closed", "_most", "_opened",
        "_reply_coding", "_sending", "_sent", "_transmission", "_turns",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        form: Format,
        transmission: Transmission,
        coding: Coding | None,
        most: int,
    ) -> None:
        self._call = call
        self._form = form
        self._transmission = transmission
        self._coding = coding
        self._most = most
        self._envelopes = Envelopes(most)
        self._reply_coding: Coding | None = None
        self._opened = False
        self._ended = False
        self._half_closed = False
        self._sending = asyncio.Lock()
        self._turns = Turns()
        self._sent = 0

    async def receive(self) -> Any:
        """Return the next reply; see ``WireStream``.

        Cancellation: safe; nothing is lost.
        """
        if self._ended:
            raise StopAsyncIteration
        if self._turns.over:
            await asyncio.sleep(0)
        try:
            if not self._opened:
                await self._open()
            if self._ended:  # in its head
                raise StopAsyncIteration
            flags, data = await self._next()
        except (OSError, TooLarge) as error:
            raise lost(self._call, error) from error
        self._turns.note(flags)
        if flags & COMPRESSED:
            if self._reply_coding is None:
                raise Error(500, "CODEC", "a reply is compressed, and no header tells how")
            data = await self._expanded(data, self._reply_coding) if data else data
        if flags & self.end_flag:
            self._end(data)
            raise StopAsyncIteration
        if flags & ~COMPRESSED:
            raise Error(500, "CODEC", f"an envelope has the flags {flags:#04x}, which mean nothing")
        return self._form.read(data)

    async def send(self, message: Any, /) -> None:
        """Send one request; see ``WireStream``. What ends the call is told by ``receive``."""
        await self.offer(message)

    async def offer(self, message: Any) -> bool:
        """Send one request; tell whether the call takes any more."""
        data, flags = self._form.write(message), PLAIN
        async with self._sending:
            if self._half_closed:
                raise RuntimeError(f"{self._call.method.operation}: the requests have ended")
            if self._coding is not None and len(data) >= MINIMUM:
                data, flags = await compressed(data, self._coding), COMPRESSED
            taken = await self._transmission.send(envelope(data, flags))
        self._sent += 1
        if self._sent % MANY == 0:
            await asyncio.sleep(0)
        return taken

    async def end(self) -> None:
        """Say that no request follows; see ``WireStream``."""
        async with self._sending:
            if not self._half_closed:
                self._half_closed = True
                await self._transmission.end()

    async def aclose(self) -> None:
        """Cut the stream off, unless it has ended; see ``WireStream``."""
        self._transmission.close()

    async def _open(self) -> None:
        """Take the head of the answer."""
        status, headers = await self._transmission.answer()
        self._call.reply_headers = frozen(headers)
        kind = value_of(headers, b"content-type")
        if status != _OK:
            raise refused(status, kind, b"")
        require_type(kind, self._form.stream_type)
        self._reply_coding = reply_coding(value_of(headers, b"connect-content-encoding"))
        self._opened = True

    async def _next(self) -> tuple[int, bytes]:
        envelopes = self._envelopes
        try:
            while (found := envelopes.take()) is None:
                piece = await self._transmission.read()
                if not piece:
                    raise Error(500, "CODEC", "the answer ends without telling how the call ended")
                envelopes.feed(piece)
        except Error as error:
            raise of_reply(error, self._most) from None
        return found

    async def _expanded(self, data: bytes, coding: Coding) -> bytes:
        try:
            return await expanded(data, coding, self._most)
        except asyncio.CancelledError:
            self._envelopes.put_back(data)
            raise

    def _end(self, data: bytes) -> None:
        """Take the end of the call.

        Raises:
            Error: It failed.
        """
        told = parsed(data)
        if not isinstance(told, dict):
            raise Error(500, "CODEC", "the end of the answer is no object in JSON")
        found = cast("dict[str, object]", told)
        self._call.trailers = frozen(_pairs(found.get("metadata")))
        self._ended = True
        if found.get("error") is None:
            return
        error = read_error(found["error"], otherwise=_UNKNOWN)
        raise error or Error(500, "CODEC", "the error of the answer is no object in JSON")


def _pairs(told: object) -> WireHeaders:
    """Return trailers as they were written, without what is none."""
    if not isinstance(told, dict):
        return []
    return [
        (encodable(name.lower()).encode(), encodable(value).encode())
        for name, values in cast("dict[str, object]", told).items()
        for value in (cast("list[object]", values) if isinstance(values, list) else ())
        if isinstance(value, str)
    ]
