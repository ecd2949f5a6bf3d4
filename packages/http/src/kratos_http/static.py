"""Files over HTTP: conditional requests, parts, and nothing held in memory."""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Final
from urllib.parse import quote

from kratos.errors import ConfigError, Error
from kratos.offload import offload
from kratos.transport.http import Reply, WireHeaders
from kratos_http._conditions import may_range, verdict
from kratos_http._files import Folder, OpenFile
from kratos_http._ranges import parse_ranges
from kratos_http.redirect import Redirect
from kratos_http.replies import StreamReply
from kratos_http.request import Request

__all__ = ["StaticFiles"]

_UNKNOWN: Final = "application/octet-stream"
_FURTHER_TYPES: Final = {
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_KEPT_IN_QUERIES: Final = "/?%:@!$&'()*+,;=-._~"  # RFC 3986, 3.4
_TEXTUAL: Final = ("application/json", "application/xml", "image/svg+xml")


class StaticFiles:
    """A plain handler that serves the files of a folder; ``RouteGroup.static`` routes to it.

    The variable ``path`` of its route names the file. Links that lead out of the folder, names
    that begin with a dot, and what is no regular file, do not exist.

    Args:
        folder: Where the files are.
        index: Name of the file that stands for its folder; empty for none. Folders are never
            listed.
        max_age: Seconds for which answers may be kept without asking again; ``None`` says
            nothing of it.
        hidden: Whether names that begin with a dot are served.
        types: Media types by suffix (``.ext``), before those known.

    Raises:
        ConfigError: The folder is none.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        index: str = "index.html",
        max_age: int | None = None,
        hidden: bool = False,
        types: Mapping[str, str] | None = None,
    ) -> None:
        path = Path(folder)
        if not path.is_dir():
            raise ConfigError(f"{str(folder)!r} is no folder, so its files cannot be served")
        self._folder = Folder(path.absolute(), hidden=hidden)
        self._index = index
        self._types = {**_FURTHER_TYPES, **(types or {})}
        self._known = mimetypes.MimeTypes()  # those of Python, not those of this machine
        self._every: list[tuple[bytes, bytes]] = [
            (b"accept-ranges", b"bytes"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if max_age is not None:
            self._every.append((b"cache-control", b"max-age=%d" % max_age))

    async def __call__(self, request: Request, /) -> Reply | StreamReply:
        """Answer a GET or HEAD request.

        Raises:
            Error: 404: there is no such file. 416: none of the parts asked for exists.
        """
        path = request.params["path"]
        name, file = await self._find(request, path)
        try:
            return self._answer(request, name, file)
        except BaseException:
            file.close()
            raise

    async def _find(self, request: Request, path: str) -> tuple[str, OpenFile]:
        """Return the name and the file that a path leads to."""
        as_folder = request.path.endswith("/")
        if not as_folder:
            file = await offload(self._folder.open, path)
            if file is not None:
                return path, file
        inner = path.rstrip("/") if as_folder and not path.endswith("//") else path
        is_folder = await offload(self._folder.is_folder, inner)
        if self._index and is_folder:
            name = f"{inner}/{self._index}" if inner else self._index
            file = await offload(self._folder.open, name)
            if file is not None and as_folder:
                return name, file
            if file is not None:
                file.close()
                raise _to_folder(request)
        raise Error(404, "NOT_FOUND", f"nothing is served at {request.path[:128]}")

    def _answer(self, request: Request, name: str, file: OpenFile) -> Reply | StreamReply:
        headers: list[tuple[bytes, bytes]] = [
            (b"etag", file.etag.encode()),
            (b"last-modified", formatdate(file.modified, usegmt=True).encode()),
            *self._every,
        ]
        status = verdict(request.headers, file.etag, file.modified)
        if status != 200:
            file.close()
            return Reply(status, headers)
        kind = self._type_of(name)
        parts = self._parts(request, file)
        if parts is None:
            whole = range(file.size)
            return _part(file, whole, 200, [*headers, (b"content-type", kind)])
        if not parts:
            file.close()
            request.call.reply_headers.set("content-range", f"bytes */{file.size}")
            raise Error(416, "RANGE_NOT_SATISFIABLE", f"there are {file.size} bytes")
        if len(parts) > 1:
            return _several(file, parts, kind, headers)
        part = parts[0]
        headers += [(b"content-type", kind), (b"content-range", _described(part, file).encode())]
        return _part(file, part, 206, headers)

    def _parts(self, request: Request, file: OpenFile) -> list[range] | None:
        header = request.headers.get("range")
        if request.method != "GET" or not header:
            return None
        if not may_range(request.headers, file.etag, file.modified):
            return None
        return parse_ranges(header, file.size)

    def _type_of(self, name: str) -> bytes:
        suffix = Path(name).suffix.lower()
        kind = self._types.get(suffix)
        if kind is None:
            kind, coding = self._known.guess_type(name)
            if kind is None or coding is not None:  # what is compressed is sent as a file
                kind = _UNKNOWN
        if "charset" not in kind and (kind.startswith("text/") or kind in _TEXTUAL):
            kind += "; charset=utf-8"
        return kind.encode()


def _to_folder(request: Request) -> Redirect:
    """Return what sends the caller to the name with a slash, against which links are meant.

    Relative to the request, so that it holds behind proxies that cut off a part of the path.
    """
    name = quote(request.path.rpartition("/")[2], safe="%")
    query = quote(request.head.query, safe=_KEPT_IN_QUERIES)
    return Redirect(f"./{name}/?{query}" if query else f"./{name}/", 308)


def _part(file: OpenFile, part: range, status: int, headers: WireHeaders) -> StreamReply:
    return StreamReply(
        pieces=file.pieces(part),
        status=status,
        headers=headers,
        length=len(part),
        close=file.close,
    )


def _several(
    file: OpenFile, parts: Sequence[range], kind: bytes, headers: WireHeaders
) -> StreamReply:
    """Return several parts as ``multipart/byteranges`` (RFC 9110, 14.6)."""
    boundary = secrets.token_hex(16).encode()
    heads = [
        b"--%b\r\ncontent-type: %b\r\ncontent-range: %b\r\n\r\n"
        % (boundary, kind, _described(part, file).encode())
        for part in parts
    ]
    end = b"--%b--\r\n" % boundary
    length = sum(len(head) + 2 for head in heads) + sum(len(part) for part in parts) + len(end)

    async def pieces() -> AsyncIterator[bytes]:
        for head, part in zip(heads, parts, strict=True):
            yield head
            async for piece in file.pieces(part):
                yield piece
            yield b"\r\n"
        yield end

    kinds = (b"content-type", b"multipart/byteranges; boundary=%b" % boundary)
    return StreamReply(
        pieces=pieces(), status=206, headers=[*headers, kinds], length=length, close=file.close
    )


def _described(part: range, file: OpenFile) -> str:
    return f"bytes {part.start}-{part.stop - 1}/{file.size}"
