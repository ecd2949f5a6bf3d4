"""The formats of messages over Connect, and what becomes of them over gRPC."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from kratos.encoding import CodecError
from kratos.encoding.json import JsonCodec, JsonOptions
from kratos.errors import Error

__all__ = ["AS_JSON", "AS_PROTO", "Format", "Known", "inflated", "known_of"]

_JSON: Final = JsonCodec(options=JsonOptions(emit_unset=False))
_CODINGS: Final = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


@dataclass(frozen=True, slots=True)
class Format:
    """How messages are passed on.

    Attributes:
        name: What content types of clients end with.
        subtype: That of calls of gRPC.
        read: Makes the message for the back end of what the client sent; ``None`` if it is it.
            Raises ``Error``.
        write: The other way.
    """

    name: bytes
    subtype: bytes
    read: Callable[[bytes], bytes] | None = None
    write: Callable[[bytes], bytes] | None = None


AS_PROTO: Final = Format(b"proto", b"proto")
AS_JSON: Final = Format(b"json", b"json")


@dataclass(frozen=True, slots=True)
class Known:
    """A method that is defined.

    Attributes:
        json: How its messages are read and written in JSON.
        streams: Whether it is no method with one request and one answer.
        safe: Whether it has no side effects, and so may be called by GET.
    """

    json: Format
    streams: bool
    safe: bool


def known_of(services: Iterable[ServiceDescriptor], /) -> dict[str, Known]:
    """Return the methods of services by ``/package.Service/Method``."""
    return {
        f"/{service.full_name}/{method.name}": _known(method)
        for service in services
        for method in service.methods
    }


def inflated(data: bytes, coding: bytes, most: int, /) -> bytes:
    """Return a message as it was before a client compressed it.

    Raises:
        Error: 501: by something that is not known here. 400: it is malformed. 413: it has too
            many bytes.
    """
    if coding in (b"", b"identity") or not data:
        return data
    name = coding[:32].decode("latin-1")
    if coding not in _CODINGS:
        text = f"the coding {name!r} is none of those read here: gzip, deflate"
        raise Error(501, "UNIMPLEMENTED", text)
    inflate = zlib.decompressobj(_CODINGS[coding])
    try:
        message = inflate.decompress(data, most + 1)
    except zlib.error as error:
        raise Error(400, "CODEC", f"the message is no {name}: {error}") from error
    if len(message) > most:
        raise Error(413, "BODY_TOO_LARGE", f"the message has more than {most} bytes")
    if not inflate.eof or inflate.unused_data:
        raise Error(400, "CODEC", f"the message is no {name}: it does not end where it should")
    return message


def _known(method: MethodDescriptor) -> Known:
    options = MethodOptions.FromString(method.GetOptions().SerializeToString())
    return Known(
        json=_json(method),
        streams=method.client_streaming or method.server_streaming,
        safe=options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
    )


def _json(method: MethodDescriptor) -> Format:
    request, reply = GetMessageClass(method.input_type), GetMessageClass(method.output_type)

    def read(data: bytes) -> bytes:
        try:
            return _JSON.decode(data, request).SerializeToString()
        except CodecError as error:
            raise Error(400, "CODEC", error.message) from error

    def write(data: bytes) -> bytes:
        try:
            return _JSON.encode(reply.FromString(data))
        except (CodecError, DecodeError) as error:
            told = f"the back end answered no {reply.DESCRIPTOR.full_name}: {error}"
            raise Error(502, "BAD_GATEWAY", told) from error

    return Format(b"json", b"proto", read, write)
