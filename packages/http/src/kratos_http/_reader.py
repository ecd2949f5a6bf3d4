"""From the bytes of a connection to requests, refusing whatever two readers could read apart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from kratos.errors import Error
from kratos.transport.http import Head
from kratos_http._known import KnownHeads
from kratos_http.limits import Limits

if TYPE_CHECKING:
    from kratos.tls import PeerCertificate

__all__ = ["Reader", "Receiver", "require_host"]

_FRAMING_HEADERS: Final = frozenset(
    (b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade")
)
_VERSIONS: Final = ("1.1", "1.0")
_SCHEMES: Final = (b"http", b"https")
_SLASH: Final = ord("/")
_IN_CHUNKS: Final = -1
_MOST_DIGITS: Final = 20  # of 64 bits
# RFC 3986, 3.2.2 and 3.2.3. Whoever makes links of it, or routes by it, can rely on its form.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Za-z:.]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_CHUNKED_BODY: Final = b"transfer-encoding: chunked"


class Receiver(Protocol):
    """What takes the requests; may raise an ``Error`` to refuse one, and all that follow."""

    def on_begin(self) -> None:
        """A request begins."""
        ...

    def on_request(self, head: Head, /, *, length: int | None, keep: bool, expects: bool) -> None:
        """Its headers are complete.

        Args:
            head: The request so far.
            length: Bytes of its body; ``None`` for a body in chunks.
            keep: Whether the peer wants to use the connection again.
            expects: Whether it waits for ``100 Continue`` before it sends the body.
        """
        ...

    def on_whole(self, head: Head, body: bytes, /) -> None:
        """A whole request came at once, on a connection that stays: all of the above and below."""
        ...

    def on_piece(self, data: bytes, /) -> None:
        """A piece of its body came; never empty."""
        ...

    def on_end(self) -> None:
        """It is complete."""
        ...

    def on_switch(self, rest: bytes, /) -> None:
        """What follows the request is not for the reader, from these bytes on."""
        ...


class Reader:
    """A parser with the checks that llhttp leaves to its users.

    Args:
        receiver: Gets the requests.
        limits: Of the head.
        peer: For ``Head.peer``.
        tls: For ``Head.tls``.
        certificate: For ``Head.certificate``.
    """

    __slots__ = (
        "_between",
        "_certificate",
        "_data",
        "_fed",
        "_feeding",
        "_first",
        "_headers",
        "_host",
        "_in_head",
        "_known",
        "_last",
        "_limits",
        "_parser",
        "_peer",
        "_receiver",
        "_remainder",
        "_switched",
        "_target",
        "_tls",
    )

    def __init__(
        self,
        receiver: Receiver,
        limits: Limits,
        *,
        peer: str,
        tls: bool,
        certificate: PeerCertificate | None = None,
    ) -> None:
        self._receiver = receiver
        self._limits = limits
        self._peer = peer
        self._tls = tls
        self._certificate = certificate
        self._headers: list[tuple[bytes, bytes]] = []
        self._host = b""  # the newest that was found to be one
        self._target = b""
        self._in_head = False
        self._last = False  # the present request closes the connection
        self._feeding = 0  # bytes of the present feed
        self._first = 0  # bytes of the feed in which the present request began
        self._fed = 0  # bytes of the feeds since the one that brought something usable
        self._remainder = b""  # see _carry_on
        self._between = True  # no request has begun that is not complete
        self._data = b""  # the present feed if a request begins with it, until its head is there
        self._known = KnownHeads(longest=limits.max_head)
        self._switched = False
        self._parser: HttpRequestParser | None = HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Read what came.

        Raises:
            Error: It is malformed or breaks a limit, or the receiver refuses it. Nothing can
                be read any more.
        """
        if self._between and self._parser is not None:
            recognised = self._known.recognise(data)
            if recognised is not None:
                head, body = recognised
                self._fed = 0
                self._receiver.on_whole(self._placed(head), body)
                return
            self._data = data
        while data := self._feed(data):
            pass  # a loop, because a peer may ask for another protocol with every request
        self._data = b""

    def close(self) -> None:
        """Let go of the receiver; what is fed afterwards is dropped."""
        self._parser = None

    def switch(self) -> None:
        """Read no further than the present request, which gets the protocol that it asks for."""
        self._switched = True

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        if not self._remainder:
            self._headers = []
            self._target = b""
            self._in_head = True
            self._between = False
            self._first = self._feeding
            self._fed = -self._feeding
            self._receiver.on_begin()

    def on_url(self, target: bytes) -> None:
        """Take the request target, or a part of it."""
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What comes after the body is a trailer, on which nobody can rely."""
        if self._in_head:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Check the head and hand it over."""
        parser = self._parser
        if self._remainder or parser is None:
            return
        self._in_head = False
        # Counting what was fed costs nothing and is never too little; only then count exactly.
        if self._first + self._fed + self._feeding > self._limits.max_head:
            self._check_size()
        if len(self._headers) > self._limits.max_headers:
            raise Error(
                431, "HEADERS_TOO_LARGE", f"more than {self._limits.max_headers} header lines"
            )
        self._fed = -self._feeding
        version = parser.get_http_version()
        if version not in _VERSIONS:
            raise Error(505, "HTTP_VERSION", "this server speaks HTTP/1.1 and HTTP/1.0 only")
        method = parser.get_method().decode()
        path, query, host = _split_target(method, self._target)
        if host:
            self._headers = _asked_of(host, self._headers)
            self._data = b""  # its lines may name another host: nothing is to be learned of them
        head = Head(method, path, query, self._headers)
        head.version = version
        self._hand_over(parser, self._placed(head))

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._fed = -self._feeding
        self._receiver.on_piece(data)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if not self._remainder:
            self._fed = -self._feeding
            self._between = True
            if self._last:
                self._parser = None
            self._receiver.on_end()

    def _feed(self, data: bytes) -> bytes:
        """Read what came, up to a request that asks for another protocol; return the rest."""
        parser = self._parser
        if parser is None:
            return b""
        self._feeding = len(data)
        try:
            parser.feed_data(data)
        except HttpParserUpgrade as stop:
            rest = data[stop.args[0] :]
            if self._switched:
                self._parser = None
                self._receiver.on_switch(rest)
                return b""
            self._carry_on()
            return rest
        except HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except HttpParserError as error:
            if self._parser is None:
                return b""  # what follows a request that closes the connection is not read
            raise _malformed(error) from None
        self._fed += self._feeding
        if self._fed > self._limits.max_head:
            raise self._too_large()
        return b""

    def _placed(self, head: Head) -> Head:
        """Say whose request it is; not by keywords, which take as long as all the rest of it."""
        head.peer = self._peer
        if self._tls:
            head.tls, head.scheme = True, "https"
            head.certificate = self._certificate
        return head

    def _hand_over(self, parser: HttpRequestParser, head: Head) -> None:
        hosts, length, expects, upgrade = 0, 0, False, False
        for name, value in self._headers:
            if name in _FRAMING_HEADERS:
                if name == b"host":
                    hosts += 1
                    if value != self._host:
                        self._host = require_host(value)
                elif name == b"content-length":
                    length = _length(value)
                elif name == b"transfer-encoding":
                    length = _chunked(value, head.version)
                elif name == b"expect":
                    expects = _expects(value, head.version)
                else:
                    upgrade = parser.should_upgrade()
        if hosts > 1 or (not hosts and head.version == "1.1"):
            raise Error(400, "BAD_REQUEST", f"a request needs one Host header, not {hosts}")
        if upgrade and length:
            self._remainder = _CHUNKED_BODY if length < 0 else b"content-length: %d" % length
        keep = parser.should_keep_alive()
        self._last = not keep
        self._learn(head, length, usual=keep and not (upgrade or expects))
        self._receiver.on_request(
            head,
            length=None if length < 0 else length,
            keep=keep,
            expects=expects and length != 0,
        )

    def _learn(self, head: Head, length: int, *, usual: bool) -> None:
        data, self._data = self._data, b""  # only the first request of a feed begins with it
        if data and usual and length >= 0 and head.version == "1.1":
            self._known.learn(data, head, length)

    def _carry_on(self) -> None:
        """Get ready to read on after a request that asked for another protocol and did not get it.

        llhttp takes the body of such a request for that protocol. So the body is read by a
        fresh parser, which is told its framing. (Java's client asks for h2c with every first
        request; ignoring it must not lose the body.) It is told, too, if nothing follows that.
        """
        if self._remainder:
            parser = self._parser = HttpRequestParser(self)
            close = b"connection: close\r\n" if self._last else b""
            parser.feed_data(b"POST / HTTP/1.1\r\n%b%b\r\n\r\n" % (close, self._remainder))
            self._remainder = b""

    def _check_size(self) -> None:
        size = len(self._target) + sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > self._limits.max_head:
            self._in_head = True
            raise self._too_large()

    def _too_large(self) -> Error:
        most = self._limits.max_head
        if not self._in_head:
            return Error(400, "BAD_REQUEST", f"more than {most} bytes that are no request's body")
        if len(self._target) > most:
            return Error(414, "TARGET_TOO_LONG", f"the request target exceeds {most} bytes")
        return Error(431, "HEADERS_TOO_LARGE", f"the request's head exceeds {most} bytes")


def _malformed(error: HttpParserError) -> Error:
    if isinstance(error, HttpParserInvalidMethodError):
        return Error(400, "BAD_REQUEST", "the connection does not begin with an HTTP request")
    return Error(400, "BAD_REQUEST", f"the request is malformed: {error}")


def _split_target(method: str, target: bytes) -> tuple[bytes, bytes, bytes]:
    """Return path, query and host of a request target in origin, absolute or asterisk form.

    The first and the last of these forms have no host.
    """
    host = b""
    if b"#" in target:
        raise Error(400, "BAD_REQUEST", "a request target has no fragment")
    if method == "CONNECT":
        raise Error(501, "NOT_IMPLEMENTED", "this server is no proxy: CONNECT is not served")
    if target[0] != _SLASH:
        if target == b"*" and method == "OPTIONS":
            return target, b"", b""
        host, target = _split_absolute(target)
    path, _, query = target.partition(b"?")
    return path, query, host


def _asked_of(host: bytes, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers with the host of an absolute target in place of theirs (RFC 9112, 3.2.2).

    Whoever is before us may have chosen by the one, and we would by the other.
    """
    found = [(name, host if name == b"host" else value) for name, value in headers]
    return found if any(name == b"host" for name, _ in found) else [*found, (b"host", host)]


def _split_absolute(target: bytes) -> tuple[bytes, bytes]:
    """Return the authority of a URL, and what follows it with a slash in front."""
    scheme, found, rest = target.partition(b"://")
    if not found:
        raise Error(400, "BAD_REQUEST", "the request target must start with a slash")
    if scheme.lower() not in _SCHEMES:
        raise Error(400, "BAD_REQUEST", "the request target is neither a path nor http nor https")
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    host = require_host(rest[:end])
    if not host:
        raise Error(400, "BAD_REQUEST", "the request target names no host")
    path = rest[end:]
    return host, path if path.startswith(b"/") else b"/" + path


def require_host(value: bytes) -> bytes:
    """Return a host with its port, if there is one; it may be empty."""
    if not _HOST.fullmatch(value):
        raise Error(400, "BAD_REQUEST", "the Host header is no host")
    return value


def _length(value: bytes) -> int:
    """Return a length that the parser took for one: digits, of which leading zeros may be many."""
    if len(value) > _MOST_DIGITS:
        raise Error(400, "BAD_REQUEST", f"a Content-Length of {len(value)} digits is no length")
    return int(value)


def _chunked(value: bytes, version: str) -> int:
    """Return the mark of a body in chunks, the one coding that is understood."""
    if version != "1.1":
        raise Error(400, "BAD_REQUEST", "HTTP/1.0 knows no Transfer-Encoding")
    if value.lower() != b"chunked":
        raise Error(501, "NOT_IMPLEMENTED", "of all transfer codings only chunked is understood")
    return _IN_CHUNKS


def _expects(value: bytes, version: str) -> bool:
    if value.lower() != b"100-continue":
        raise Error(417, "EXPECTATION_FAILED", "the one known expectation is 100-continue")
    return version == "1.1"
