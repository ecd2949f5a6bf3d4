"""Header blocks: what they say, whether that may be, and the memory in front of their decoding.

A client that calls again and again sends the same bytes again and again, once its HPACK table is
filled. What a block of bytes means depends on that table, so a reading is remembered until a block
changes the table; whether one does is told by the representations in it (RFC 7541, 6), which is
exact. Comparing the table before and after is not: its size, its count and its newest entry may
all be as they were, and yet another entry have fallen out.

Clients with deadlines or traces send another field each time, which also changes the table each
time. Then the block has to be decoded, but what it says without such fields is as known as ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from kratos_http2.compression import encode_fields
from kratos_http2.decompression import OVERHEAD, Field, HpackDecoder
from kratos_http2.errors import ErrorCode, Http2Error

__all__ = ["VARYING", "Fields", "HeaderBlock", "HeaderReader", "encode_fields"]

Fields = tuple[Field, ...]
_Key = TypeVar("_Key")

VARYING: Final = frozenset(
    (
        b"baggage",
        b"connect-timeout-ms",
        b"content-length",
        b"date",
        b"grpc-tags-bin",
        b"grpc-timeout",
        b"grpc-trace-bin",
        b"traceparent",
        b"tracestate",
        b"x-request-id",
    )
)
"""Names of fields that are another in each message of a kind."""

_REMEMBERED: Final = 256  # blocks of one connection
_MEMORY: Final = 64 * 1024  # bytes of their fields, as RFC 9113, 6.5.2 counts them
_LARGEST: Final = _MEMORY // 8  # of one that is remembered
_FEW: Final = 32  # fields, which hardly are too large
_BOMB: Final = 4  # times the list that is allowed: more ends the connection

_MOST_DIGITS: Final = 19

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_VALUE: Final = re.compile(rb"(?:[^\x00\r\n \t](?:[^\x00\r\n]*[^\x00\r\n \t])?)?").fullmatch
_CONNECTION_FIELDS: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_REQUEST_FIELDS: Final = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_RESPONSE_FIELDS: Final = frozenset((b":status",))
_TEXT: Final = b"grpc-message"
_COLON: Final = 0x3A


class HeaderBlock:
    """The fields of one header block. Shared by all that say the same: never changed.

    Attributes:
        fields: Names and values, without those of the protocol itself.
        base: The block without its varying fields, shared by all that differ in nothing else, even
            if their bytes differ; the block itself if it has none. What follows from it alone is
            well kept in ``base.note``.
        varying: Those of the fields whose names are in ``VARYING``, in their order.
        method: Pseudo-header field, as the following; empty if it is absent.
        scheme: Of a request.
        authority: Of a request.
        path: Of a request.
        protocol: Of an extended CONNECT.
        status: Of a response.
        content_length: What it says; ``None`` if it says nothing.
        size: Of the list, as RFC 9113, 6.5.2 counts it.
        problem: Why it is malformed, wherever it stands; empty if it is not.
        opening_problem: Why it opens no request, or response; empty if it does.
        trailers_problem: Why it is no trailer section; empty if it is one.
        note: For the owner of the connection, who may keep here what follows from the block.
    """

    __slots__ = (
        "authority",
        "base",
        "content_length",
        "fields",
        "method",
        "note",
        "opening_problem",
        "path",
        "problem",
        "protocol",
        "pseudo",
        "scheme",
        "size",
        "status",
        "trailers_problem",
        "varying",
    )

    def __init__(self, pairs: Iterable[Field], *, request: bool) -> None:
        self.base = self
        self.varying: Fields = ()
        self.content_length: int | None = None
        self.note: Any = None
        self.problem = ""
        self.size = 0
        pseudo: dict[bytes, bytes] = {}
        fields: list[Field] = []
        known = _REQUEST_FIELDS if request else _RESPONSE_FIELDS
        for pair in pairs:
            name, value = pair
            self.size += len(name) + len(value) + OVERHEAD
            if name and name[0] == _COLON:
                if name not in known or name in pseudo or fields:
                    self.problem = f"{name!r} is unknown, late or there twice"
                pseudo[name] = value
                if _VALUE(value) is None:
                    self.problem = f"the value of {name!r} holds what it must not"
            else:
                fields.append(pair)
                self._check(name, value)
        self.fields: Fields = tuple(fields)
        self.pseudo = pseudo
        self.method = pseudo.get(b":method", b"")
        self.scheme = pseudo.get(b":scheme", b"")
        self.authority = pseudo.get(b":authority", b"")
        self.path = pseudo.get(b":path", b"")
        self.protocol = pseudo.get(b":protocol", b"")
        self.status = pseudo.get(b":status", b"")
        opening = self._request_problem() if request else self._response_problem()
        self.opening_problem = self.problem or opening
        self.trailers_problem = self.problem or (
            "trailers have no pseudo-header fields" if pseudo else ""
        )

    @classmethod
    def of(cls, base: HeaderBlock, varying: Fields, pairs: list[Field]) -> HeaderBlock:
        """Return a block that has varying fields besides those of another.

        Args:
            base: The block without them.
            varying: These fields.
            pairs: All fields in their order, pseudo-header fields included.
        """
        made = cls.__new__(cls)
        made.base = base
        made.varying = varying
        made.pseudo = base.pseudo
        made.method = base.method
        made.scheme = base.scheme
        made.authority = base.authority
        made.path = base.path
        made.protocol = base.protocol
        made.status = base.status
        made.note = None
        first = len(base.pseudo)
        made.fields = tuple(pairs[first:])
        made.content_length = None
        made.size = base.size
        made.problem = ""
        for name, value in varying:
            made.size += len(name) + len(value) + OVERHEAD
            if name == b"content-length":
                length, problem = _length(value, made.content_length)
                made.content_length, made.problem = length, made.problem or problem
            elif not value.isalnum() and _VALUE(value) is None:  # most are, and it is quick
                made.problem = f"the value of {name!r} holds what it must not"
        # One that comes last of all is before nothing.
        at_end = pairs[-1] is varying[0] and len(varying) == 1
        if not at_end and any(name[:1] == b":" for name, _ in made.fields):
            made.problem = "a pseudo-header field is late"
        made.problem = made.problem or base.problem
        if made.problem:
            made.fields = tuple([pair for pair in pairs if pair[0][:1] != b":"])
        made.opening_problem = made.problem or base.opening_problem
        made.trailers_problem = made.problem or base.trailers_problem
        return made

    def _check(self, name: bytes, value: bytes) -> None:
        if name in _CONNECTION_FIELDS:
            self.problem = f"{name!r} is of HTTP/1.1"
        elif name == b"te" and value.lower() != b"trailers":
            self.problem = "te may be trailers only"
        elif name == b"content-length":
            self.content_length, problem = _length(value, self.content_length)
            self.problem = self.problem or problem
        elif name not in VARYING and _NAME(name) is None:
            self.problem = f"{name!r} is no name of a field"
        # Servers of gRPC in Go and C end their texts with a blank where their users do.
        if _VALUE(value.strip(b" ") if name == _TEXT else value) is None:
            self.problem = f"the value of {name!r} holds what it must not"

    def _request_problem(self) -> str:
        if not self.method or _METHOD(self.method) is None:
            return ":method has to be there, and be a token"
        if self.protocol and self.method != b"CONNECT":
            return ":protocol is for CONNECT"
        if self.method == b"CONNECT" and b":protocol" not in self.pseudo:
            if b":scheme" in self.pseudo or b":path" in self.pseudo or not self.authority:
                return "CONNECT has :authority, and neither :scheme nor :path"
            return ""
        if not self.scheme or not self.path:
            return ":scheme and :path have to be there"
        return ""

    def _response_problem(self) -> str:
        if len(self.status) != 3 or not self.status.isdigit() or self.status < b"100":
            return "there is no :status of three digits"
        return ""


def _length(value: bytes, before: int | None) -> tuple[int | None, str]:
    """Read a content-length beside one that came before, and tell what is wrong with it."""
    if not value.isdigit() or len(value) > _MOST_DIGITS:
        return before, "content-length is no number"
    if before not in (None, int(value)):
        return before, "content-length is there twice, with two values"
    return int(value), ""


class HeaderReader:
    """Decodes the header blocks of one connection, and remembers.

    What is remembered is bounded: 256 blocks and 64 KiB of their fields by their bytes, as many
    again by their fields.

    Args:
        request: Whether they are of requests.
        max_list: Bytes of a list; four times as many end the connection.
        table: Bytes of the table that the peer may use.

    Attributes:
        known: Blocks that mean what they meant before, by their bytes.
    """

    __slots__ = ("_bases", "_decoder", "_most", "_request", "known")

    def __init__(self, *, request: bool, max_list: int, table: int) -> None:
        self._most = max_list * _BOMB
        self._decoder = HpackDecoder(table=table, max_fields=self._most // OVERHEAD)
        self.known = _Memory[bytes]()
        self._bases = _Memory[Fields]()
        self._request = request

    def acknowledged(self) -> None:
        """Hold the peer to the table that was announced: it knows of it now."""
        self._decoder.acknowledged()

    def forget(self) -> None:
        """Let go of what is remembered, which is for speed alone."""
        self.known.forget()
        self._bases.forget()

    def read(self, block: bytes) -> HeaderBlock:
        """Return what a block says.

        Raises:
            Http2Error: It cannot be decoded, or decodes to far too much.
        """
        found = self.known.get(block)
        if found is not None:
            return found
        decoder = self._decoder
        pairs = decoder.decode(block)
        if len(pairs) > _FEW:
            # Before anything is looked at: a byte of the block may be a field of 4 KiB.
            self._require_size(sum([len(name) + len(value) + OVERHEAD for name, value in pairs]))
        varying: list[Field] = []
        rest: list[Field] = []
        names = VARYING
        for pair in pairs:
            (varying if pair[0] in names else rest).append(pair)
        if varying:
            made = HeaderBlock.of(self._base(tuple(rest)), tuple(varying), pairs)
        else:
            made = self._base(tuple(pairs))
        self._require_size(made.size)
        if decoder.changed:
            self.known.forget()
        else:
            self.known.keep(block, made)
        return made

    def _require_size(self, size: int) -> None:
        if size > self._most:
            raise Http2Error(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"a header list has {size} bytes",
                limit="max_header_list",
            )

    def _base(self, pairs: Fields) -> HeaderBlock:
        """Return the block of these fields: the same each time, for as long as it is remembered."""
        found = self._bases.get(pairs)
        if found is None:
            found = HeaderBlock(pairs, request=self._request)
            self._bases.keep(pairs, found)
        return found


class _Memory(dict[_Key, HeaderBlock]):
    """Some blocks, which are all forgotten when they become too many."""

    __slots__ = ("_size",)

    _size: int

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def keep(self, key: _Key, block: HeaderBlock) -> None:
        """Remember a block, unless it is a very large one."""
        size = block.size
        if size > _LARGEST:
            return
        if self._size + size > _MEMORY or len(self) >= _REMEMBERED:
            self.forget()
        self._size += size
        self[key] = block

    def forget(self) -> None:
        """Begin anew."""
        if self._size:
            self.clear()
            self._size = 0
