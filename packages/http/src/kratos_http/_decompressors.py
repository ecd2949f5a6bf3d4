"""Decompressors of all codings behind one interface, each of which makes only what is asked for."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol

from kratos_http._zstd import has_zstd, zstd

__all__ = ["INFLATERS", "SEVERAL", "Inflater", "Malformed"]

SEVERAL: Final = frozenset(("gzip", "zstd"))
"""Codings whose bodies may have several members, one after another."""

_WINDOW: Final = 23  # RFC 9659: 8 MiB, so that a peer does not choose how much memory it takes


class Malformed(ValueError):
    """The data is not of the coding."""


class Inflater(Protocol):
    """Decompresses one member."""

    @property
    def ended(self) -> bool:
        """Whether the member is whole."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether a step without further data may make something."""
        ...

    @property
    def unused(self) -> bytes:
        """What of the last step's data is to be given to the next one, or follows the end."""
        ...

    def step(self, data: bytes, most: int, /) -> bytes:
        """Return at most so many bytes.

        Raises:
            Malformed: The data is not of the coding.
        """
        ...


class _Zlib:
    def __init__(self, window: int) -> None:
        self._inflate: Any = zlib.decompressobj(window)
        self.has_more = False
        self.unused = b""

    @property
    def ended(self) -> bool:
        return bool(self._inflate.eof)

    def step(self, data: bytes, most: int, /) -> bytes:
        inflate = self._inflate
        try:
            piece: bytes = inflate.decompress(data, most)
        except zlib.error as error:
            raise Malformed(str(error)) from error
        self.unused = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
        # It made all that it might, and may have kept something.
        self.has_more = len(piece) == most and not inflate.eof
        return piece


class _Zstandard:
    def __init__(self) -> None:
        library = zstd()
        options = {library.DecompressionParameter.window_log_max: _WINDOW}
        self._inflate: Any = library.ZstdDecompressor(options=options)
        self._error: type[Exception] = library.ZstdError
        self.has_more = False
        self.unused = b""

    @property
    def ended(self) -> bool:
        return bool(self._inflate.eof)

    def step(self, data: bytes, most: int, /) -> bytes:
        inflate = self._inflate
        try:
            piece: bytes = inflate.decompress(data, most)
        except self._error as error:
            raise Malformed(str(error)) from error
        self.unused = inflate.unused_data if inflate.eof else b""
        self.has_more = not (inflate.eof or inflate.needs_input)
        return piece


class _Brotli:
    def __init__(self) -> None:
        library: Any = import_module("brotli")
        self._inflate: Any = library.Decompressor()
        self._error: type[Exception] = library.error
        self._made = b""  # it makes 32 KiB or more at a time
        self._full = False
        self.unused = b""

    @property
    def ended(self) -> bool:
        return not self._made and bool(self._inflate.is_finished())

    @property
    def has_more(self) -> bool:
        return bool(self._made) or self._full

    def step(self, data: bytes, most: int, /) -> bytes:
        if self._made or self._full:
            self.unused = data
            data = b""
        else:
            self.unused = b""
        if not self._made:
            self._make(data, most)
        piece, self._made = self._made[:most], self._made[most:]
        return piece

    def _make(self, data: bytes, most: int) -> None:
        inflate = self._inflate
        try:
            self._made = inflate.process(data, output_buffer_limit=most)
        except self._error as error:
            raise Malformed(str(error)) from error
        # One that has made enough may have kept something, whatever it says of further data.
        enough = len(self._made) >= most or not inflate.can_accept_more_data()
        self._full = enough and not inflate.is_finished()


def _has_brotli() -> bool:
    """Tell whether there is one that makes only what is asked for: that of 1.2 or later."""
    if find_spec("brotli") is None:
        return False
    decompressor: Any = import_module("brotli").Decompressor
    return hasattr(decompressor, "can_accept_more_data")


INFLATERS: Final[dict[str, Callable[[], Inflater]]] = {
    "gzip": partial(_Zlib, 16 + zlib.MAX_WBITS),
    "deflate": partial(_Zlib, zlib.MAX_WBITS),
}
if has_zstd():
    INFLATERS["zstd"] = _Zstandard
if _has_brotli():
    INFLATERS["br"] = _Brotli
