"""What of a download a peer asks for: all, a part, its head, or nothing that it has already."""

from __future__ import annotations

from typing import Final

from kratos.errors import Error
from kratos.transport import Header
from kratos.transport.http import WireHeaders
from kratos_http._conditions import may_range, seconds_of, verdict
from kratos_http._ranges import parse_ranges

__all__ = ["Selection", "select", "unsatisfied"]

_MOST_DIGITS: Final = 18
_UNSATISFIABLE: Final = "RANGE_NOT_SATISFIABLE"
_OF_THE_WHOLE: Final = (b"content-length", b"content-type")


class Selection:
    """What is sent of a body that comes in pieces.

    Args:
        headers: Of the answer.
        status: Of the answer.
        part: Which of the bytes; ``None`` for all of them, however many come.
    """

    __slots__ = ("_at", "_part", "headers", "status")

    def __init__(
        self, headers: WireHeaders, status: int = 200, *, part: range | None = None
    ) -> None:
        self.headers = headers
        self.status = status
        self._part = part
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether nothing of what follows is sent."""
        return self._part is not None and self._at >= self._part.stop

    def cut(self, data: bytes) -> bytes:
        """Return what is sent of the next piece."""
        part, begin = self._part, self._at
        if part is None:
            return data
        self._at += len(data)
        return data[max(0, part.start - begin) : max(0, part.stop - begin)]


def select(verb: str, asked: Header, headers: WireHeaders) -> Selection:
    """Choose what is sent of a download, from what its handler says of it in the headers.

    ``etag`` and ``last-modified`` make requests conditional; ``accept-ranges: bytes`` beside
    ``content-length`` lets one part be asked for. Several parts are answered by the whole.

    Args:
        verb: HTTP method of the request.
        asked: Headers of the request.
        headers: Of the answer.

    Raises:
        Error: 412: a condition of the request does not hold. 416: the part asked for does not
            exist; ``metadata`` has the ``size``.
    """
    if verb not in ("GET", "HEAD"):
        return Selection(headers)
    known = Header(list(headers))
    etag, modified = known.get("etag"), seconds_of(known.get("last-modified"))
    if etag or modified is not None:
        status = verdict(asked, etag, modified)
        if status == 304:
            kept = [pair for pair in headers if pair[0] not in _OF_THE_WHOLE]
            return Selection(kept, status, part=range(0))
        if status != 200:
            raise Error(status, "PRECONDITION_FAILED", "what there is does not fit the conditions")
    if verb == "HEAD":
        return Selection(headers, part=range(0))
    size = _size(known)
    if size is None or "range" not in asked or not may_range(asked, etag, modified):
        return Selection(headers)
    parts = parse_ranges(asked.get("range"), size)
    if parts is None or len(parts) > 1:
        return Selection(headers)
    if not parts:
        metadata = {"size": str(size)}
        raise Error(416, _UNSATISFIABLE, f"there are {size} bytes", metadata)
    return _part(headers, parts[0], size)


def unsatisfied(error: Error) -> WireHeaders:
    """Return what an answer says of the size, if its error is that a part does not exist."""
    size = error.metadata.get("size", "")
    # It may be the error of another service that the handler passes on.
    if error.reason != _UNSATISFIABLE or not (size.isascii() and size.isdigit()):
        return ()
    if len(size) > _MOST_DIGITS:
        return ()
    return ((b"content-range", b"bytes */%d" % int(size)),)


def _part(headers: WireHeaders, part: range, size: int) -> Selection:
    own = [
        (b"content-range", b"bytes %d-%d/%d" % (part.start, part.stop - 1, size)),
        (b"content-length", b"%d" % len(part)),
    ]
    kept = [pair for pair in headers if pair[0] != b"content-length"]
    return Selection([*kept, *own], 206, part=part)


def _size(known: Header) -> int | None:
    """Return the bytes of a body of which parts may be asked for."""
    length = known.get("content-length")
    if known.get("accept-ranges").strip().lower() != "bytes" or len(length) > _MOST_DIGITS:
        return None
    return int(length) if length.isascii() and length.isdigit() else None
