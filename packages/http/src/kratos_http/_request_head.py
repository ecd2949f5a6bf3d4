"""The heads of requests to one node: what never changes is made once."""

from __future__ import annotations

from typing import Final

from kratos.errors import Error
from kratos.transport import Call, Cause
from kratos.transport.http import WireHeaders
from kratos.transport.timeout import format_timeout
from kratos_http._format import CHUNKED, header_block

__all__ = ["RequestHeads"]

_OWN: Final = frozenset((b"accept", b"content-type", b"grpc-timeout", b"proxy-authorization"))
_HANDSHAKE: Final = b"sec-websocket-"
_VERBS_WITH_BODY: Final = frozenset(("POST", "PUT", "PATCH"))


class RequestHeads:
    """Writes the heads of requests to one node.

    Args:
        host: For the ``Host`` header.
        user_agent: For the ``User-Agent`` header.
        secure: Whether the node speaks TLS.
        prefix: Path before every path.
        origin: What stands before that, if a proxy is asked.
        more: Headers that every request has besides.

    Raises:
        ValueError: A header cannot be sent.
    """

    __slots__ = ("_base", "_before", "_defaults", "_fixed", "_more", "_prefix")

    def __init__(
        self,
        *,
        host: str,
        user_agent: str,
        secure: bool = False,
        prefix: str = "",
        origin: str = "",
        more: WireHeaders = (),
    ) -> None:
        self._before = origin + prefix
        self._prefix = prefix
        self._base = f"http{'s' if secure else ''}://{host}{prefix}"
        self._defaults = {b"host": host.encode(), b"user-agent": user_agent.encode()}
        self._more = header_block(more)
        self._fixed = header_block(list(self._defaults.items())) + self._more

    def url(self, target: str) -> str:
        """Return the URL of a target."""
        return self._base + target

    def relative(self, path: str) -> str:
        """Return the target that a path of the node is, empty if it is not below the prefix."""
        return path.removeprefix(self._prefix) if path.startswith(f"{self._prefix}/") else ""

    def write(
        self,
        call: Call,
        verb: str,
        target: str,
        *,
        accept: str,
        content_type: str = "",
        length: int | None = 0,
        more: bytes = b"",
    ) -> bytes:
        """Return the head of a request, up to its empty line.

        Args:
            call: The call: its headers, and what is left of its time.
            verb: HTTP method.
            target: Path and query.
            accept: The ``Accept`` header.
            content_type: Of the body; empty for none.
            length: Bytes of the body; ``None`` if it follows in chunks.
            more: Further header lines.

        Raises:
            Error: 504: there is no time left for the call; 400 CODEC: a header cannot be sent.
        """
        lines = b""
        remaining = call.remaining()
        if remaining is not None:
            if remaining <= 0:
                raise Cause.DEADLINE.error()
            lines = b"grpc-timeout: %b\r\n" % format_timeout(remaining).encode()
        try:
            lines += header_block(((b"accept", accept.encode()),))
            if content_type:
                lines += header_block(((b"content-type", content_type.encode()),))
            lines += self._given(call) if len(call.headers) else self._fixed
        except ValueError as error:
            raise Error(400, "CODEC", str(error)) from error
        if length is None:
            lines += CHUNKED
        elif content_type or verb in _VERBS_WITH_BODY:
            lines += b"content-length: %d\r\n" % length
        line = f"{verb} {self._before}{target} HTTP/1.1\r\n".encode()
        return b"%b%b%b\r\n" % (line, lines, more)

    def plain(
        self, verb: str, target: str, headers: WireHeaders, *, length: int | None = 0
    ) -> bytes:
        """Return the head of a request that belongs to no rule of HTTP, up to its empty line.

        Args:
            verb: HTTP method.
            target: Path and query.
            headers: All but those of the node and of the framing.
            length: Bytes of the body; ``None`` if it follows in chunks.

        Raises:
            ValueError: A header cannot be sent.
        """
        names = {name for name, _ in headers}
        defaults = [pair for pair in self._defaults.items() if pair[0] not in names]
        lines = header_block([*defaults, *headers]) + self._more
        if length is None:
            lines += CHUNKED
        elif length or verb in _VERBS_WITH_BODY:
            lines += b"content-length: %d\r\n" % length
        return b"%b%b\r\n" % (f"{verb} {self._before}{target} HTTP/1.1\r\n".encode(), lines)

    def _given(self, call: Call) -> bytes:
        """Return the header lines of a call that has some of its own, and those of all others."""
        given = [
            pair
            for pair in call.headers.raw()
            if pair[0] not in _OWN and not pair[0].startswith(_HANDSHAKE)
        ]
        names = {name for name, _ in given}
        defaults = [pair for pair in self._defaults.items() if pair[0] not in names]
        return header_block(defaults + given) + self._more
