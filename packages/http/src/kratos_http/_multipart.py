"""Bodies of ``multipart/form-data``, read as they come (RFC 7578, RFC 2046 5.1).

Strict where leniency has helped attackers past other parsers: no preamble, no padding after
boundaries, no folded or repeated headers, CR LF alone as line end, no transfer encoding. Names are
UTF-8, unescaped as browsers escape them (WHATWG, and the backslash of others).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from kratos.encoding import CodecError
from kratos.errors import Error
from kratos_http.disposition import extended

__all__ = [
    "FORM_DATA", "Event", "FormLimits", "MultipartParser", "Part", "boundary_of", "is_form_data",
]  # fmt: skip

FORM_DATA: Final = "multipart/form-data"
_BOUNDARY: Final = re.compile(
    r";[ \t]*boundary=(?:\"([\w'()+,\-./:=? ]{1,70})\"|([\w'+\-.]{1,70}))[ \t]*(?:;|\Z)",
    re.IGNORECASE | re.ASCII,
)
_HEADER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z")
_PARAMETER: Final = re.compile(
    r";[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\";,]+))[ \t]*",
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r"%22|%0D|%0A|\\([\"\\])")
_ENCODINGS: Final = ("", "7bit", "8bit", "binary")
_SHOWN: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FormLimits:
    """What a form may hold; its size is limited like that of every body.

    Attributes:
        max_parts: Parts of one form.
        max_head: Bytes of the headers of one part.
    """

    max_parts: int = 256
    max_head: int = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The head of one part.

    Attributes:
        name: Name of the field.
        filename: Name of the file without folders, ``None`` if it is no file.
        content_type: As sent, empty for none.
    """

    name: str
    filename: str | None = None
    content_type: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it is more than the text of a field."""
        kind = self.content_type.partition(";")[0].strip().lower()
        return self.filename is not None or kind not in ("", "text/plain")


Event: TypeAlias = Part | bytes
"""A head, then what it is the head of, in pieces."""


def is_form_data(content_type: str) -> bool:
    """Tell whether a body is a form with parts."""
    kind, _, _ = content_type.partition(";")
    return kind.rstrip(" \t").lower() == FORM_DATA


def boundary_of(content_type: str) -> bytes:
    """Return what is between the parts.

    Raises:
        CodecError: There is none, or it could be none.
    """
    found = _BOUNDARY.search(content_type)
    boundary = "" if found is None else found[1] or found[2]
    if not boundary or boundary.endswith(" "):
        raise CodecError(f"{FORM_DATA} needs a boundary of 1 to 70 characters in its Content-Type")
    return boundary.encode()


class _State(Enum):
    """What comes next."""

    BOUNDARY = "the first boundary"
    AFTER = "the end of a boundary"
    HEAD = "the head of a part"
    BODY = "the body of a part"
    END = "nothing"


class MultipartParser:
    """Takes the bytes of a form and gives its parts.

    Args:
        content_type: Of the body; has the boundary.
        limits: What it may hold.

    Raises:
        CodecError: The content type has no boundary.
    """

    __slots__ = ("_count", "_delimiter", "_limits", "_name", "_rest", "_state")

    def __init__(self, content_type: str, limits: FormLimits) -> None:
        self._delimiter = b"\r\n--" + boundary_of(content_type)
        self._limits = limits
        self._rest = b"\r\n"  # so that the first boundary is like all others
        self._state = _State.BOUNDARY
        self._count = 0
        self._name = ""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield what the next bytes of the body hold; exhaust it before the next call.

        Raises:
            CodecError: They are malformed; names the part.
            Error: 413: there are too many parts, or the head of one is too large.
        """
        data = self._rest + data if self._rest else data
        place = 0
        while True:
            if self._state is _State.BODY:
                found = data.find(self._delimiter, place)
                stop = found if found >= 0 else len(data) - len(self._delimiter) + 1
                if stop > place:
                    yield data[place:stop]
                    place = stop
                if found < 0:
                    break
                place = found + len(self._delimiter)
                self._state = _State.AFTER
            elif self._state is _State.HEAD:
                end = self._end_of_head(data, place)
                if end < 0:
                    break
                yield self._head(data[place:end])
                place = end + 4
                self._state = _State.BODY
            else:
                step = self._step(data, place)
                if not step:
                    break
                place += step
        self._rest = b"" if self._state is _State.END else data[place:]

    def finish(self) -> None:
        """Note the end of the body.

        Raises:
            CodecError: It came too early.
        """
        if self._state is not _State.END:
            where = f" within {self._named()}" if self._name else ""
            raise CodecError(f"the form ends{where} without its last boundary", self._name)

    def _step(self, data: bytes, place: int) -> int:
        """Pass a boundary, or its end; return how many bytes that took, 0 for too few."""
        if self._state is _State.BOUNDARY:
            size = len(self._delimiter)
            if not self._delimiter.startswith(data[place : place + size]):
                raise CodecError("the form does not begin with its boundary")
            if len(data) - place < size:
                return 0
            self._state = _State.AFTER
            return size
        if self._state is _State.END or len(data) - place < 2:  # an epilogue means nothing
            return 0
        end = data[place : place + 2]
        if end not in (b"--", b"\r\n"):
            raise CodecError(f"a boundary after {self._named()} goes on", self._name)
        self._state = _State.END if end == b"--" else _State.HEAD
        return 2

    def _end_of_head(self, data: bytes, place: int) -> int:
        """Return where the empty line after a head begins, -1 if it has not come."""
        self._name = ""
        limit = self._limits.max_head
        if data.startswith(b"\r\n", place):
            raise CodecError(f"part {self._count + 1} has no headers")
        end = data.find(b"\r\n\r\n", place, place + limit + 4)
        if end < 0 and len(data) - place >= limit + 4:
            raise Error(
                413, "BODY_TOO_LARGE", f"the headers of part {self._count + 1} exceed {limit} bytes"
            )
        return end

    def _head(self, data: bytes) -> Part:
        self._count += 1
        if self._count > self._limits.max_parts:
            raise Error(
                413, "BODY_TOO_LARGE", f"the form has more than {self._limits.max_parts} parts"
            )
        headers: dict[bytes, str] = {}
        for line in data.split(b"\r\n"):
            found = _HEADER.match(line)
            if found is None or found[1].lower() in headers:
                raise CodecError(f"a header of part {self._count} is malformed, or given twice")
            try:
                headers[found[1].lower()] = found[2].decode().rstrip(" \t")
            except UnicodeDecodeError:
                raise CodecError(f"a header of part {self._count} is not UTF-8") from None
        part = self._part(headers)
        self._name = part.name
        if headers.get(b"content-transfer-encoding", "").lower() not in _ENCODINGS:
            raise CodecError(f"{self._named()} has a transfer encoding; send it raw", self._name)
        return part

    def _part(self, headers: dict[bytes, str]) -> Part:
        kind, _, _ = headers.get(b"content-disposition", "").partition(";")
        parameters = _parameters(headers.get(b"content-disposition", "")[len(kind) :])
        if kind.strip().lower() != "form-data" or parameters is None or "name" not in parameters:
            raise CodecError(
                f'part {self._count} needs the header Content-Disposition: form-data; name="..."'
            )
        filename = parameters.get("filename")
        given = parameters.get("filename*")  # which RFC 7578 forbids, and some clients send
        if given is not None:
            filename = extended(given)
            if filename is None:
                raise CodecError(f"filename* of part {self._count} is malformed: use UTF-8''...")
        if filename is not None:
            filename = filename.replace("\\", "/").rpartition("/")[2]
            if filename in (".", ".."):  # which are folders wherever they are put
                filename = ""
        return Part(
            name=parameters["name"],
            filename=filename,
            content_type=headers.get(b"content-type", ""),
        )

    def _named(self) -> str:
        return f"part {self._count}, {self._name[:_SHOWN]!r},"


def _parameters(text: str) -> dict[str, str] | None:
    """Return the parameters of a header, ``None`` if they are malformed or given twice."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = _PARAMETER.match(text, place)
        if match is None or match[1].lower() in found:
            return None
        quoted: str | None = match[2]
        found[match[1].lower()] = match[3] if quoted is None else _ESCAPED.sub(_unescape, quoted)
        place = match.end()
    return found


def _unescape(found: re.Match[str]) -> str:
    return found[1] or chr(int(found[0][1:], 16))
