"""What the headers of a request over Connect ask for."""

from __future__ import annotations

import re
from asyncio import get_running_loop
from typing import Final

from kratos.errors import Error
from kratos.transport import Call, Header, Operation, Side
from kratos.transport.call import Sink
from kratos.transport.http import Head, WireHeaders
from kratos_grpc._codings import CODINGS, IDENTITY, Coding
from kratos_grpc._deadline import limited
from kratos_grpc._metadata import arrived
from kratos_grpc.connect._terms import READABLE, Terms

__all__ = ["STREAM", "UNARY", "Asked", "Names", "request_coding", "require_version"]

_TRANSPORT: Final = "connect"

_SERVER: Final = Side.SERVER  # members of enumerations are slow to look up
_TIMEOUT: Final = b"connect-timeout-ms"
_VERSION: Final = b"connect-protocol-version"
_ONLY: Final = b"1"
_DIGITS: Final = re.compile(rb"[0-9]{1,10}")
_BINARY: Final = b"-bin"
_NONE: Final = frozenset[bytes]()


class Names:
    """The headers by which one kind of calls tells how its messages are compressed.

    Args:
        prefix: Before ``content-encoding`` and ``accept-encoding``.
    """

    __slots__ = ("accept", "all", "coding")

    def __init__(self, prefix: bytes) -> None:
        self.coding = prefix + b"content-encoding"
        self.accept = prefix + b"accept-encoding"
        self.all = frozenset((self.coding, self.accept, _TIMEOUT, _VERSION))


UNARY: Final = Names(b"")
STREAM: Final = Names(b"connect-")  # the others are about the whole body, as HTTP has it


class Asked:
    """What a head asks for; one may serve all requests with the same head.

    Args:
        headers: Of the request.
        names: Those of its kind of calls.

    Attributes:
        metadata: Of the call, for ``Header``; shared by calls, never changed.
        seconds: That the caller allows; ``None`` for no limit.
        coding: Name of the coding of requests that are compressed; empty for none.
        accept: Codings that replies may have, all values.
        version: Of the protocol; empty if it is not told.
        failure: What is wrong with the head; ``None`` for nothing.
    """

    __slots__ = ("accept", "coding", "failure", "metadata", "seconds", "version")

    def __init__(self, headers: WireHeaders, names: Names) -> None:
        self.coding = self.accept = self.version = b""
        self.metadata = headers
        self.seconds: float | None = None
        self.failure: Error | None = None
        try:
            self._read(headers, names)
        except Error as error:
            self.failure = error

    def call(self, operation: Operation, head: Head, terms: Terms, sink: Sink | None) -> Call:
        """Return the call of a request."""
        endpoint = terms.place.endpoint
        metadata = Header(self.metadata)
        call = Call(
            operation.method, _SERVER, _TRANSPORT, metadata, head.peer, endpoint, None, sink
        )
        call.certificate = head.certificate
        call.path = head.path
        if self.seconds is not None:
            call.deadline = get_running_loop().time() + self.seconds
        return call

    def _read(self, headers: WireHeaders, names: Names) -> None:
        wanted = names.all
        timeout = b""
        binary = False
        for name, value in headers:
            if name in wanted:
                if name == names.accept:
                    self.accept = self.accept + b"," + value if self.accept else value
                elif name == _VERSION:
                    self.version = value
                elif name == _TIMEOUT:
                    timeout = value
                else:
                    self.coding = value
            elif name.endswith(_BINARY):
                binary = True
        if binary:
            self.metadata = arrived(headers, _NONE)
        if timeout:
            self.seconds = _seconds(timeout)


def require_version(version: bytes, terms: Terms) -> None:
    """Refuse a version of the protocol that is not this one, or none where one is asked for.

    Raises:
        Error: 400 CODEC: it is.
    """
    if version != _ONLY and (version or terms.require_version):
        shown = version[:16].decode("latin-1")
        raise Error(400, "CODEC", f"Connect-Protocol-Version has to be 1, not {shown!r}")


def request_coding(name: bytes) -> Coding | None:
    """Return how messages are compressed that a client sends; ``None`` for not at all.

    Raises:
        Error: 501 UNIMPLEMENTED: this server cannot read it.
    """
    name = name.strip().lower()
    if not name or name == IDENTITY:
        return None
    found = CODINGS.get(name)
    if found is None:
        shown = name[:32].decode("latin-1")
        text = f"the coding {shown!r} is none of those that this server reads: {READABLE}"
        raise Error(501, "UNIMPLEMENTED", text)
    return found


def _seconds(timeout: bytes) -> float | None:
    if _DIGITS.fullmatch(timeout) is None:
        shown = timeout[:16].decode("latin-1")
        raise Error(400, "CODEC", f"Connect-Timeout-Ms {shown!r} is not 1 to 10 digits")
    return limited(int(timeout) / 1000)
