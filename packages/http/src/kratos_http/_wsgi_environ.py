"""What a WSGI application is told of a request (PEP 3333)."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from kratos.process import worker_slot
from kratos.transport.http import Head

__all__ = ["Body", "Environ", "environ_of"]

Environ: TypeAlias = dict[str, Any]

_APART: Final = frozenset((b"content-type", b"content-length", b"proxy"))
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(?::([0-9]{1,5}))?\Z")
_NAME: Final = re.compile(rb"[a-z0-9-]+\Z")


class Body(io.RawIOBase):
    """The body of a request, as a file that blocks; read it through ``io.BufferedReader``.

    Args:
        read: Returns the next piece, ``b""`` at the end.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._next = read
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer with what there is; zero at the end.

        Raises:
            OSError: The peer has gone, or its body breaks a limit.
        """
        if not self._rest and not self._ended:
            self._rest = self._next()
            self._ended = not self._rest
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def environ_of(head: Head, body: Body, *, segments: int) -> Environ:
    """Return the environment.

    Args:
        head: The request.
        body: Its body.
        segments: How many segments of the path lead to the application.
    """
    parts = head.path.split(b"/")
    path = b"".join(b"/" + part for part in parts[1 + segments :])
    name, port = _server(head)
    environ: Environ = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": _text(unquote_to_bytes(b"/".join(parts[: 1 + segments]))),
        "PATH_INFO": _text(unquote_to_bytes(path)),
        "QUERY_STRING": _text(head.query),
        "SERVER_NAME": name,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": head.scheme,
        "wsgi.input": io.BufferedReader(body),
        "wsgi.input_terminated": True,  # it ends where the body does, also without a length
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": worker_slot() is not None,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    host, colon, peer_port = head.peer.rpartition(":")
    if colon and peer_port.isdigit():
        environ["REMOTE_ADDR"] = host.strip("[]")
        environ["REMOTE_PORT"] = peer_port
    _add_headers(environ, head)
    return environ


def _add_headers(environ: Environ, head: Head) -> None:
    for name, value in head.headers:
        text = _text(value)
        if name in _APART:
            # Not ``Proxy``: HTTP_PROXY would tell clients within the application where to go.
            if name != b"proxy":
                environ[_text(name).upper().replace("-", "_")] = text
        elif _NAME.match(name):  # one with an underscore would pass for another one with a hyphen
            key = "HTTP_" + _text(name).upper().replace("-", "_")
            joint = "; " if name == b"cookie" else ","
            environ[key] = f"{environ[key]}{joint}{text}" if key in environ else text


def _server(head: Head) -> tuple[str, str]:
    found = _HOST.match(_text(head.header(b"host")))
    default = "443" if head.scheme == "https" else "80"
    if found is None:
        return "localhost", default
    return found[1] or "localhost", found[2] or default


def _text(raw: bytes) -> str:
    """Return bytes as WSGI has them: text with a character for each byte."""
    return raw.decode("latin-1")
