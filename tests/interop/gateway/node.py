"""A back end in a thread, that answers with bytes as they are and keeps what it is sent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["HANG", "RESET", "Message", "Node", "node", "read_message"]

HANG: Final = b"(say nothing)"
RESET: Final = b"(close the connection)"


class Reader(Protocol):
    """What bytes are read from, until there are as many as were asked for, or no more."""

    def read(self, size: int = -1, /) -> bytes: ...

    def readline(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer.

    Attributes:
        line: Its first line.
        headers: Names and values as they came.
        body: What it carries, without the frames of chunks.
        trailers: What came after chunks.
    """

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    trailers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str:
        """Return all values of a header, with commas between them."""
        return ", ".join(value for each, value in self.headers if each.lower() == name)


class Node:
    """What answers each request as it is told.

    Attributes:
        answer: Returns the answer to a request.
        seen: Requests since the newest ``play``.
        address: Where it listens.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.address = "{}:{}".format(*listener.getsockname()[:2])
        self.answer: Callable[[Message], bytes] = lambda _: RESET
        self.seen: list[Message] = []
        self._listener = listener
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, *answers: bytes) -> None:
        """Answer so from now on, and then by the last of them."""
        left = list(answers)
        self.seen = []
        self.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def close(self) -> None:
        """Close it and all of its connections."""
        for each in (self._listener, *self._connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError), connection:
            reader = connection.makefile("rb")
            while True:
                came = read_message(reader, request=True)
                self.seen.append(came)
                answer = self.answer(came)
                if answer == RESET:
                    return
                if answer != HANG:
                    connection.sendall(answer)
                    if b"\r\nConnection: close\r\n" in answer:
                        return


@contextmanager
def node() -> Generator[Node]:
    """Serve one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Node(listener)
        try:
            yield made
        finally:
            made.close()


def read_message(reader: Reader, *, request: bool, bare: bool = False) -> Message:
    """Read a message.

    Args:
        reader: Where it comes from.
        request: Whether it is a request, which has no body unless it says so.
        bare: Whether it is an answer that has no body, whatever it says.

    Raises:
        EOFError: Nothing came.
    """
    line = _line(reader)
    headers = _headers(reader)
    if line.partition(" ")[2].startswith("100"):
        return read_message(reader, request=request, bare=bare)
    told = {name.lower(): value for name, value in headers}
    if bare or line.partition(" ")[2][:3] in ("204", "304"):
        return Message(line, headers, b"")
    if told.get("transfer-encoding") == "chunked":
        pieces: list[bytes] = []
        while size := int(_line(reader), 16):
            pieces.append(reader.read(size))
            reader.read(2)
        return Message(line, headers, b"".join(pieces), _headers(reader))
    if "content-length" in told:
        return Message(line, headers, reader.read(int(told["content-length"])))
    return Message(line, headers, b"" if request else reader.read())


def _line(reader: Reader) -> str:
    line = reader.readline()
    if not line:
        raise EOFError("the connection was closed")
    return line.decode("latin-1").removesuffix("\r\n")


def _headers(reader: Reader) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    while line := _line(reader):
        name, _, value = line.partition(":")
        found.append((name, value.strip()))
    return tuple(found)
