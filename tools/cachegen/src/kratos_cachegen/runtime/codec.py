"""Values as bytes and back, by the words of the option ``encode``."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from kratos.errors import ConfigError

__all__ = ["WORDS", "Codec", "codec"]

T = TypeVar("T")

WORDS: Final = ("json", "pb", "msgpack", "raw", "gzip")
_LARGEST: Final = 64 * 1024 * 1024  # bytes of a value that was packed

_Encode = Callable[[Any], bytes]
_Decode = Callable[[bytes], Any]


class Codec(Generic[T]):
    """Writes and reads values of one type.

    Args:
        encode: Returns a value as bytes.
        decode: Returns a value; raises ``ValueError`` for what is none.
    """

    __slots__ = ("decode", "encode")

    def __init__(self, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> None:
        self.encode = encode
        self.decode = decode


def codec(kind: type[T], encode: str) -> Codec[T]:
    """Return the codec of a type.

    Args:
        kind: A basic type, a dataclass, a protobuf message, a pydantic model, or a list or
            dictionary of these.
        encode: Words, joined by ``|``: one of ``json``, ``pb``, ``msgpack`` (these two for
            protobuf messages) and ``raw`` (for texts, bytes and numbers, as text), and ``gzip``.

    Raises:
        ConfigError: There is no such word, or it is none for the type.
    """
    words = encode.split("|")
    unknown = [word for word in words if word not in WORDS]
    forms = [word for word in words if word != "gzip"]
    if unknown or len(forms) != 1 or len(words) > len(forms) + 1:
        raise ConfigError(
            f"encode={encode!r} is one of json, pb, msgpack and raw, and gzip if it is to be packed"
        )
    write, read = _forms(kind, forms[0])
    if "gzip" in words:
        return Codec(_packing(write), _unpacking(read))
    return Codec(write, read)


def _forms(kind: Any, form: str) -> tuple[_Encode, _Decode]:
    if form == "raw":
        from kratos_cachegen.runtime.raw import raw

        return raw(kind)
    if form == "json":
        from kratos_cachegen.runtime.typed_json import typed_json

        return typed_json(kind)
    if not hasattr(kind, "DESCRIPTOR"):
        raise ConfigError(f"encode={form!r} is for protobuf messages, and {kind!r} is none")
    if form == "pb":
        return _protobuf(kind)
    from kratos.plugins import load

    other = load("kratos.encoding", form)
    return other.encode, lambda data: other.decode(data, kind)


def _protobuf(kind: Any) -> tuple[_Encode, _Decode]:
    from google.protobuf.message import DecodeError

    def write(value: Any) -> bytes:
        data: bytes = value.SerializeToString(deterministic=True)
        return data

    def read(data: bytes) -> Any:
        try:
            return kind.FromString(data)
        except DecodeError as error:
            raise ValueError(f"it is no {kind.__name__}: {error}") from error

    return write, read


def _packing(write: _Encode) -> _Encode:
    return lambda value: gzip.compress(write(value), mtime=0)


def _unpacking(read: _Decode) -> _Decode:
    def unpack(data: bytes) -> Any:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            plain = unpacker.decompress(data, _LARGEST)
        except zlib.error as error:
            raise ValueError(f"it is not packed by gzip: {error}") from error
        if not unpacker.eof:
            raise ValueError("it is cut, or too large")
        return read(plain)

    return unpack
