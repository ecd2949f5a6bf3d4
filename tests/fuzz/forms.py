"""Forms and queries into messages and back."""

from __future__ import annotations

from typing import Final

from tests.fuzz.messages import message_types

from kratos.encoding import CodecError
from kratos.encoding.form import FORM

__all__ = ["SEEDS", "WORDS", "check"]

SEEDS: Final = (
    b"\x00scalars.fString=a%20b&scalars.f_int32=-1&scalars.fBool=T",
    b"\x01fDouble=1.5&fBytes=AA%3D%3D&fColor=COLOR_RED&fUint64=18446744073709551615",
    b"\x03fInt32=1&fInt32=2&f_string[]=&f_color[0]=1",
    b"\x04stringString[a.b]=c&int32Double.5=NaN&boolInt32[true]=1",
    b"\x06timestamp=2020-01-01T00:00:00Z&duration=1h2m0.5s&fieldMask=aB,c&int64Value=5",
    b"\x06struct.k=v&value=x&listValue=[1]&any=1&bytesValue=_-8",
    b"\x05text=a&number=",
    b"\x06bytesValue=%3D%3D",
)
WORDS: Final = (
    b"&", b"=", b"%", b"+", b"%2", b"[", b"]", b".", b"[]", b"null", b"true", b"COLOR_RED", b"1h",
    b"scalars.", b"lists.", b"maps.", b"choice.", b"wellKnown.", b"inner.", b"fInt32", b"fString",
    b"timestamp=", b"duration=", b"struct", b"2020-01-01T00:00:00Z", b"-1.5s", b"NaN", b"1e400",
)  # fmt: skip


def check(data: bytes) -> None:
    """Read a form: a message or a ``CodecError``; what the message is written as reads as it."""
    kinds = message_types()
    kind = kinds[data[0] % len(kinds)] if data else kinds[0]
    try:
        message = FORM.decode(data[1:], kind)
        text = FORM.encode(message)
    except CodecError:
        return
    # Not the messages: one that is empty inside another has no form.
    assert _said(FORM.encode(FORM.decode(text, kind))) == _said(text)


def _said(text: bytes) -> list[bytes]:
    """Return the pairs that say something: an empty value is read as none, as in Go."""
    return [pair for pair in text.split(b"&") if pair and not pair.endswith(b"=")]
