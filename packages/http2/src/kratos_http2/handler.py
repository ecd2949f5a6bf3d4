"""What a connection tells its owner."""

from __future__ import annotations

from typing import Protocol

from kratos_http2.errors import Http2Error
from kratos_http2.header_blocks import HeaderBlock
from kratos_http2.stream import Stream

__all__ = ["Handler"]


class Handler(Protocol):
    """Called by a connection, from within its methods; must not raise.

    Whether a message is whole is told by ``stream.received_end``, which is set before. It may call
    the connection again, ``receive`` excepted.

    After ``on_fault`` nothing is told any more, and what is sent has no effect.
    """

    def on_output(self) -> None:
        """There is something to take, for the first time since the last ``take``.

        Arrange for that to happen soon, best once for all that a turn of the event loop brings
        about; do not take it from within.
        """
        ...

    def on_headers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """A request began; or a response did, which may be an interim one.

        A list longer than was announced is passed on: see ``block.size``.
        """
        ...

    def on_data(self, stream: Stream, data: bytes, /) -> None:
        """A piece of a body came; its size is to be ``consumed`` when it is used up.

        A peer may send a byte at a time: join the pieces that have to wait, each of which costs an
        object.
        """
        ...

    def on_trailers(self, stream: Stream, block: HeaderBlock, /) -> None:
        """The body ended with trailers."""
        ...

    def on_reset(self, stream: Stream, code: int, /) -> None:
        """The peer broke a stream off, or left without having looked at it."""
        ...

    def on_stream_error(self, stream: Stream, error: Http2Error, /) -> None:
        """The peer was at fault on a stream, which was reset therefore."""
        ...

    def on_room(self, stream: Stream, /) -> None:
        """All that was pending on a stream is on its way."""
        ...

    def on_settings(self) -> None:
        """The peer's settings came, or changed."""
        ...

    def on_ping(self, payload: bytes, /) -> None:
        """The peer pinged; it is answered already."""
        ...

    def on_pong(self, payload: bytes, /) -> None:
        """The peer answered a ping."""
        ...

    def on_goaway(self, last: int, code: int, debug: bytes, /) -> None:
        """The peer takes no new streams; of ours, those above ``last`` were never looked at.

        For each of these ``on_reset`` follows.
        """
        ...

    def on_fault(self, error: Http2Error, /) -> None:
        """The peer broke the protocol or a limit: write what there is to take, then close.

        All streams are closed, without a call for each; they are still in ``streams``.
        """
        ...
