"""From header blocks of HTTP/2 to the heads of requests, with the checks that HTTP/1.1 gets, too.

A client sends few different blocks, again and again; what is made of one is kept with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kratos.errors import Error
from kratos.transport.http import Head, Memo
from kratos_http._reader import require_host
from kratos_http.limits import Limits
from kratos_http2 import HeaderBlock

if TYPE_CHECKING:
    from kratos.tls import PeerCertificate

__all__ = ["Heads", "Outline"]

_METHOD: Final = re.compile(rb"[A-Z0-9!#$%&'*+.^_`|~-]+")
_TARGET: Final = re.compile(rb"[\x21\x22\x24-\x7e\x80-\xff]+")  # no fragment, nothing invisible
_SCHEMES: Final = (b"http", b"https")
_WEBSOCKET: Final = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"))


class Outline:
    """What all requests of one header block have in common; never changed.

    Attributes:
        method: Verb; ``GET`` for a handshake, which is a ``CONNECT`` on the wire.
        path: Raw path.
        query: Raw query.
        headers: Names and values, ``host`` first.
        length: What ``content-length`` says; ``None`` if it says nothing.
        expects: Whether the peer waits for ``100 Continue``.
        handshake: Whether it asks for a WebSocket (RFC 8441).
        memo: ``Head.memo`` of all its requests.
        refused: Why it is answered with an error; ``None`` if it is not.
    """

    __slots__ = (
        "expects",
        "handshake",
        "headers",
        "length",
        "memo",
        "method",
        "path",
        "query",
        "refused",
    )

    def __init__(self, block: HeaderBlock, limits: Limits) -> None:
        self.method = block.method.decode("latin-1")
        self.path = block.path
        self.query = b""
        self.length = block.content_length
        self.expects = False
        self.handshake = block.protocol == b"websocket"
        self.headers: tuple[tuple[bytes, bytes], ...] = block.fields
        self.refused: Error | None = None
        self.memo = Memo()
        try:
            _require_size(block, limits)
            self._read_target(block)
            self._read_headers(block)
        except Error as error:
            self.refused = error

    @classmethod
    def varied(cls, base: Outline, block: HeaderBlock, limits: Limits) -> Outline:
        """Return one for a block that has varying fields besides those of a known outline."""
        made = cls.__new__(cls)
        made.method = base.method
        made.path = base.path
        made.query = base.query
        made.length = block.content_length
        made.expects = base.expects
        made.handshake = base.handshake
        made.headers = base.headers + block.varying
        made.memo = Memo(base.memo, block.varying)
        made.refused = base.refused
        try:
            _require_size(block, limits)
        except Error as error:
            made.refused = error
        return made

    def _read_target(self, block: HeaderBlock) -> None:
        if block.method == b"CONNECT":
            if not self.handshake:
                raise Error(501, "NOT_IMPLEMENTED", "this server is no proxy")
            self.method = "GET"
        elif not _METHOD.fullmatch(block.method):
            raise Error(400, "BAD_REQUEST", "the method is none")
        if block.scheme not in _SCHEMES:
            raise Error(400, "BAD_REQUEST", "the scheme is neither http nor https")
        path = block.path
        if path == b"*" and block.method == b"OPTIONS":
            return
        if not path.startswith(b"/"):
            raise Error(400, "BAD_REQUEST", "the path must start with a slash")
        if not _TARGET.fullmatch(path):
            raise Error(400, "BAD_REQUEST", "a path has no fragment, nor blanks nor controls")
        self.path, _, self.query = path.partition(b"?")

    def _read_headers(self, block: HeaderBlock) -> None:
        hosts = {block.authority} if block.authority else set[bytes]()
        cookies: list[bytes] = []
        kept: list[tuple[bytes, bytes]] = []
        for name, value in block.fields:
            if name == b"host":
                hosts.add(value)
            elif name == b"cookie":
                cookies.append(value)
            else:
                if name == b"expect":
                    self._expect(value)
                kept.append((name, value))
        if len(hosts) != 1:
            raise Error(
                400, "BAD_REQUEST", f"a request needs one host in :authority, not {len(hosts)}"
            )
        (host,) = hosts
        if cookies:  # cut in pieces so that they compress well (RFC 9113, 8.2.3)
            kept.append((b"cookie", b"; ".join(cookies)))
        more = _WEBSOCKET if self.handshake else ()
        for each in host.split(b",") if _is_grpc(kept) else (host,):
            require_host(each)
        self.headers = ((b"host", host), *kept, *more)

    def _expect(self, value: bytes) -> None:
        if value.lower() != b"100-continue":
            raise Error(417, "EXPECTATION_FAILED", "the one known expectation is 100-continue")
        self.expects = True


def _is_grpc(headers: list[tuple[bytes, bytes]]) -> bool:
    """Tell whether it is a call of gRPC: clients that choose among servers name them all."""
    return any(k == b"content-type" and v.startswith(b"application/grpc") for k, v in headers)


class Heads:
    """Makes the heads of one connection.

    Args:
        limits: Of the head.
        peer: For ``Head.peer``.
        tls: For ``Head.tls``.
        certificate: For ``Head.certificate``.
    """

    __slots__ = ("_certificate", "_limits", "_scheme", "_tls", "peer")

    def __init__(
        self, limits: Limits, *, peer: str, tls: bool, certificate: PeerCertificate | None
    ) -> None:
        self._limits = limits
        self.peer = peer
        self._tls = tls
        self._scheme = "https" if tls else "http"  # not what the peer says: it proves nothing
        self._certificate = certificate

    def outline(self, block: HeaderBlock) -> Outline:
        """Return what a block says, read once."""
        found: Outline | None = block.note
        if found is None:
            base = block.base
            if base is block:
                found = Outline(block, self._limits)
            else:  # of a deadline, say, nothing depends but that it is passed on
                found = Outline.varied(self.outline(base), block, self._limits)
            block.note = found
        return found

    def head(self, outline: Outline) -> Head:
        """Return the head of a new request."""
        head = Head(outline.method, outline.path, outline.query, list(outline.headers))
        head.version = "2"
        head.peer = self.peer
        head.memo = outline.memo
        if self._tls:
            head.tls, head.scheme = True, self._scheme
            head.certificate = self._certificate
        return head


def _require_size(block: HeaderBlock, limits: Limits) -> None:
    """Hold a head to the limits of one of HTTP/1.1."""
    if block.size <= limits.max_head and len(block.fields) <= limits.max_headers:
        return  # it counts more for each field
    if len(block.fields) > limits.max_headers:
        raise Error(431, "HEADERS_TOO_LARGE", f"more than {limits.max_headers} header lines")
    if len(block.path) > limits.max_head:
        raise Error(414, "TARGET_TOO_LONG", f"the request target exceeds {limits.max_head} bytes")
    size = len(block.path) + sum(len(name) + len(value) + 4 for name, value in block.fields)
    if size > limits.max_head:
        raise Error(431, "HEADERS_TOO_LARGE", f"the request's head exceeds {limits.max_head} bytes")
