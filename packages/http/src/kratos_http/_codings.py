"""Content codings of answers: what there is, and which one a peer prefers."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Protocol, TypeAlias

from kratos.errors import ConfigError, Error
from kratos.offload import offload
from kratos_http._zstd import has_zstd, zstd

__all__ = ["TYPES", "Encoder", "NewEncoder", "choose", "gains", "installed", "pack", "step"]

_LONG: Final = 32 * 1024  # bytes that take more than a millisecond, so that a thread has to
_FULL: Final = "OFFLOAD_FULL"
_MOST_PREFERENCES: Final = 32  # of one header; the rest is not looked at
# Types that gain by compression, besides text, and what ends in +json or +xml.
TYPES: Final = frozenset(
    (
        "application/graphql-response",
        "application/javascript",
        "application/json",
        "application/proto",
        "application/protobuf",
        "application/protojson",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/x-protobuf",
        "application/xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "image/svg+xml",
    )
)


class Encoder(Protocol):
    """Compresses one body."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a piece; return what is ready."""
        ...

    def flush(self) -> bytes:
        """Return all that can be read so far, so that the peer need not wait for more."""
        ...

    def finish(self) -> bytes:
        """Return the rest."""
        ...


NewEncoder: TypeAlias = Callable[[], Encoder]


def installed(names: Sequence[str]) -> dict[str, NewEncoder]:
    """Return those of the codings that are installed, in the order given.

    Raises:
        ConfigError: There is no such coding.
    """
    for name in names:
        if name not in _NEW:
            raise ConfigError(f"there is no coding {name!r}; use {', '.join(_NEW)}")
    return {name: _NEW[name] for name in names if _INSTALLED[name]()}


def choose(accept: str, offered: Sequence[str]) -> str:
    """Return the coding that ``Accept-Encoding`` asks for (RFC 9110, 12.5.3); empty for none.

    Args:
        accept: The header, all values of it.
        offered: What there is; the first of those that the peer likes equally is chosen.
    """
    wanted = _preferences(accept)
    rest = wanted.get("*", 0.0)
    plain = wanted.get("identity", 0.0)
    best, best_quality = "", 0.0
    for name in offered:
        quality = wanted.get(name, rest)
        if quality > best_quality and quality >= plain:
            best, best_quality = name, quality
    return best


# Whose messages are compressed one by one, and whose clients do not ask for more.
_OWN_CODINGS: Final = ("application/grpc", "application/connect+")


def gains(kind: str, types: Collection[str] = TYPES) -> bool:
    """Tell whether what has a content type gains by compression."""
    kind = kind.partition(";")[0].strip().lower()
    if kind == "text/event-stream" or kind.startswith(_OWN_CODINGS):
        return False
    return kind.startswith("text/") or kind.endswith(("+json", "+xml")) or kind in types


async def pack(new: NewEncoder, data: bytes) -> bytes:
    """Return a whole body compressed, or as it is where no thread is free for so many bytes."""
    if len(data) < _LONG:
        return _pack(new, data)
    try:
        return await offload(_pack, new, data)
    except Error as error:
        if error.reason != _FULL:
            raise
        return data


async def step(encoder: Encoder, data: bytes, *, eager: bool) -> bytes:
    """Compress a piece of a body that has begun, and so needs it whether a thread is free or not.

    Args:
        encoder: Of the body.
        data: The piece.
        eager: Whether the peer gets all of it now.
    """
    if len(data) < _LONG:
        return _step(encoder, data, eager)
    try:
        return await offload(_step, encoder, data, eager)
    except Error as error:
        if error.reason != _FULL:
            raise
    packed: list[bytes] = []
    for start in range(0, len(data), _LONG):
        packed.append(encoder.compress(data[start : start + _LONG]))
        await asyncio.sleep(0)  # others have their turn
    return b"".join(packed) + (encoder.flush() if eager else b"")


def _pack(new: NewEncoder, data: bytes) -> bytes:
    encoder = new()
    return encoder.compress(data) + encoder.finish()


def _step(encoder: Encoder, data: bytes, eager: bool) -> bytes:  # noqa: FBT001
    packed = encoder.compress(data)
    return packed + encoder.flush() if eager else packed


def _preferences(accept: str) -> dict[str, float]:
    wanted: dict[str, float] = {}
    for element in accept.split(",", _MOST_PREFERENCES)[:_MOST_PREFERENCES]:
        name, *parameters = element.split(";")
        name = name.strip().lower().removeprefix("x-")
        if name:
            wanted[name] = _quality(parameters)
    return wanted


def _quality(parameters: Sequence[str]) -> float:
    """Return the weight among parameters; zero for one that is malformed."""
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0


class _Gzip:
    def __init__(self) -> None:
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def compress(self, data: bytes, /) -> bytes:
        return self._deflate.compress(data)

    def flush(self) -> bytes:
        return self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._deflate.flush()


class _Brotli:
    def __init__(self) -> None:
        library: Any = import_module("brotli")
        # The window of 4 MiB that it takes by default would be kept for every answer under way.
        self._compressor: Any = library.Compressor(quality=4, lgwin=18)

    def compress(self, data: bytes, /) -> bytes:
        compressed: bytes = self._compressor.process(data)
        return compressed

    def flush(self) -> bytes:
        compressed: bytes = self._compressor.flush()
        return compressed

    def finish(self) -> bytes:
        compressed: bytes = self._compressor.finish()
        return compressed


class _Zstandard:
    def __init__(self) -> None:
        self._compressor: Any = zstd().ZstdCompressor(level=3)

    def compress(self, data: bytes, /) -> bytes:
        compressed: bytes = self._compressor.compress(data)
        return compressed

    def flush(self) -> bytes:
        compressed: bytes = self._compressor.flush(self._compressor.FLUSH_BLOCK)
        return compressed

    def finish(self) -> bytes:
        compressed: bytes = self._compressor.flush()
        return compressed


_NEW: Final[dict[str, NewEncoder]] = {"zstd": _Zstandard, "br": _Brotli, "gzip": _Gzip}
_INSTALLED: Final[dict[str, Callable[[], bool]]] = {
    "zstd": has_zstd,
    "br": lambda: find_spec("brotli") is not None,
    "gzip": lambda: True,
}
