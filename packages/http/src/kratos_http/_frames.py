"""The frames of one WebSocket, as messages; the protocol itself is the library's."""

from __future__ import annotations

import codecs
import logging
from typing import Final, TypeAlias

from websockets.exceptions import ConnectionClosed, InvalidState, PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from kratos.errors import Error
from kratos.transport import Cause

__all__ = ["Frames", "Message", "Side", "reason_that_fits"]

Message: TypeAlias = "str | bytes"

# The library logs every connection that closes; its errors are still worth knowing.
_log: Final = logging.getLogger("kratos.http.frames")
_log.setLevel(logging.WARNING)

_TOO_BIG: Final = 1009
# A message may have one frame per so many of the bytes that it may have, and some for small ones.
_BYTES_PER_FRAME: Final = 32
_SPARE_FRAMES: Final = 1024
_Decoder: Final = codecs.getincrementaldecoder("utf-8")
_MOST_REASON: Final = 123  # bytes, RFC 6455, 5.5


class _TooManyFrames(PayloadTooBig):
    """A message comes in too many frames; empty ones would go on for ever."""

    def __init__(self, most: int) -> None:
        super().__init__(None, 0)
        self._most = most

    def __str__(self) -> str:
        return f"a message comes in more than {self._most} frames"


class _Assembling(Protocol):
    """The library's protocol, which knows frames only, with the messages that they make.

    A text is judged frame by frame, where the library judges frames: so nothing is answered
    that follows a broken text, and one that cannot become UTF-8 any more is not awaited. Its bytes
    are kept as they came: the strings of small frames are many times as large.
    """

    def __init__(self, side: Side, *, max_message: int) -> None:
        super().__init__(side, state=State.OPEN, max_size=max_message, logger=_log)
        self.messages: list[Message] = []
        self.taken = 0
        self._most_frames = _SPARE_FRAMES + max_message // _BYTES_PER_FRAME
        self._frames = 0  # of the message that has begun
        self._body = bytearray()  # of it
        self._decoder: codecs.IncrementalDecoder | None = None  # of the text that has begun

    def recv_frame(self, frame: Frame) -> None:
        """Take a frame.

        A ``UnicodeDecodeError`` fails the connection with 1007, and ``PayloadTooBig`` with 1009.
        """
        self.taken += 1
        super().recv_frame(frame)
        opcode = frame.opcode
        if opcode is Opcode.TEXT and frame.fin:
            self.messages.append(bytes(frame.data).decode())
        elif opcode is Opcode.BINARY and frame.fin:
            self.messages.append(bytes(frame.data))
        elif opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if opcode is Opcode.TEXT:
                self._decoder = _Decoder()
            self._continue(frame)

    def _continue(self, frame: Frame) -> None:
        self._frames += 1
        if self._frames > self._most_frames:
            raise _TooManyFrames(self._most_frames)
        decoder = self._decoder
        if decoder is not None:
            decoder.decode(bytes(frame.data), frame.fin)
        self._body += frame.data
        if frame.fin:
            body, self._body = self._body, bytearray()
            self.messages.append(bytes(body) if decoder is None else body.decode())
            self._frames = 0
            self._decoder = None


class Frames:
    """An open WebSocket without its connection.

    Args:
        side: Which end this is.
        max_message: Bytes of the largest message that is taken, which besides may come in one
            frame per 32 of them, and 1024.

    Attributes:
        failure: What the peer did wrong; nothing is read any more.
    """

    __slots__ = ("_max_message", "_protocol", "failure")

    def __init__(self, side: Side, *, max_message: int) -> None:
        self.failure: Error | None = None
        self._max_message = max_message
        self._protocol = _Assembling(side, max_message=max_message)

    @property
    def open(self) -> bool:
        """Whether no close frame was sent or received."""
        return self._protocol.state is State.OPEN

    @property
    def taken(self) -> int:
        """How many frames came."""
        return self._protocol.taken

    @property
    def close_code(self) -> int | None:
        """Code of the peer's close frame."""
        received = self._protocol.close_rcvd
        return None if received is None else received.code

    def feed(self, data: bytes | bytearray) -> list[Message]:
        """Return the messages that some bytes complete; ``outgoing`` answers pings and closes."""
        protocol = self._protocol
        if self.failure is not None:
            return []
        protocol.receive_data(data)
        protocol.events_received()  # they are its messages too
        messages, protocol.messages = protocol.messages, []
        if protocol.parser_exc is not None:
            self.failure = self._judge(protocol.parser_exc)
        return messages

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            Error: The WebSocket is closing.
        """
        try:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        except (InvalidState, ConnectionClosed):
            raise Cause.PEER_GONE.error() from None

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._protocol.send_ping(b"")

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, unless one was sent or received."""
        if self.open:
            self._protocol.send_close(code, reason_that_fits(reason))

    def fail(self, code: int, reason: str) -> None:
        """Send a close frame and read no further."""
        self._protocol.fail(code, reason)

    def outgoing(self) -> list[bytes]:
        """Return what is to be sent now; an empty piece is the end of the stream."""
        return self._protocol.data_to_send()

    def _judge(self, problem: Exception) -> Error:
        if isinstance(problem, _TooManyFrames):
            return Error(413, "MESSAGE_TOO_LARGE", str(problem))
        sent = self._protocol.close_sent
        if sent is not None and sent.code == _TOO_BIG:
            return Error(413, "MESSAGE_TOO_LARGE", f"a message exceeds {self._max_message} bytes")
        if isinstance(problem, EOFError):
            return Cause.PEER_GONE.error()
        if isinstance(problem, UnicodeDecodeError):
            return Error(400, "CODEC", f"a text is not UTF-8 at byte {problem.start}")
        return Error(400, "CODEC", f"the peer broke the WebSocket protocol: {problem}")


def reason_that_fits(reason: str) -> str:
    """Return as much of a close frame's reason as fits into one."""
    return reason.encode("utf-8", "replace")[:_MOST_REASON].decode("utf-8", "ignore")
