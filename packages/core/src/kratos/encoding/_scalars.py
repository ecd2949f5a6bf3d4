"""Text of scalars as forms have it; what JSON has too is in ``kratos_protojson.scalars``."""

from __future__ import annotations

import binascii
from decimal import Decimal
from typing import Final

__all__ = ["encode_url_base64", "float_text", "split_nanoseconds"]

_NANOS: Final = 1_000_000_000
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")


def encode_url_base64(data: bytes) -> str:
    """Return URL-safe base64 with padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).decode("ascii")


def float_text(value: float) -> str:
    """Return a float as Go's ``%v`` prints it: ``1``, ``0.1``, ``1e+21``, ``+Inf``."""
    if value - value != 0:
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text and 1 <= abs(value) < 1e21:
        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


def split_nanoseconds(nanoseconds: int) -> tuple[int, int]:
    """Return seconds and nanos of one sign, as a protobuf Duration holds them."""
    seconds, nanos = divmod(abs(nanoseconds), _NANOS)
    return (-seconds, -nanos) if nanoseconds < 0 else (seconds, nanos)
