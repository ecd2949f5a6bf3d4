"""The compact form of signed tokens (RFC 7515), read strictly; nothing here trusts or verifies.

Whatever two readers could understand differently is refused: other alphabets and padding, bits
that mean nothing, members twice, numbers that are none.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, cast

from kratos_jwt.refusal import INVALID, Refused

__all__ = ["TokenHeader", "decode_json", "decode_segment", "parse_header", "split"]

_SHAPE: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_DEEPEST: Final = 32  # arrays and objects within each other
_LONGEST_KEY_ID: Final = 512
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# By the characters over: how a text may end whose last bits, which stand for nothing, are 0.
_LAST: Final = ("", "", _ALPHABET[::16], _ALPHABET[::4])
_PADDING: Final = ("", "", "==", "=")
# Each changes what the rest means, and so cannot be passed over.
_UNSUPPORTED: Final = ("crit", "b64", "enc", "zip")


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """The header of a token. Who sent it chose it: it only says which key to try.

    Attributes:
        algorithm: ``alg``.
        key_id: ``kid``, ``None`` if there is none.
        fields: All members.
    """

    algorithm: str
    key_id: str | None
    fields: Mapping[str, Any]


def split(token: str) -> tuple[str, str, str]:
    """Return header, payload and signature, still encoded.

    Raises:
        Refused: There are more or fewer, one is empty, or a character is none of base64url.
    """
    found = _SHAPE.fullmatch(token)
    if found is None:
        raise Refused(INVALID, "it is not of three parts in base64url")
    return cast("tuple[str, str, str]", found.groups())


def decode_segment(segment: str) -> bytes:
    """Decode base64url without padding, in its only form.

    Raises:
        Refused: There is another text for the same bytes.
    """
    over = len(segment) % 4
    if over and segment[-1] not in _LAST[over]:
        raise Refused(INVALID, "a part is not in the canonical form of base64url")
    if "+" in segment or "/" in segment or "=" in segment:
        raise Refused(INVALID, "a part is in base64, not in base64url without padding")
    standard = segment.replace("-", "+").replace("_", "/")
    try:
        return binascii.a2b_base64(standard + _PADDING[over], strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(INVALID, f"a part is no base64url: {error}") from None


def decode_json(data: bytes) -> dict[str, Any]:
    """Decode an object.

    Raises:
        Refused: It is none, or is no UTF-8, too deep, has a member twice, or a number that JSON
            has not.
    """
    try:
        if data.count(b"{") + data.count(b"[") > _DEEPEST:
            _refuse_deep(data)
        found = _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise Refused(INVALID, f"a part is no JSON: {_kind(error)}") from None
    if not isinstance(found, dict):
        raise Refused(INVALID, f"a part is no JSON object but a {type(found).__name__}")
    return cast("dict[str, Any]", found)


@lru_cache(maxsize=128)
def parse_header(segment: str) -> TokenHeader:
    """Read an encoded header; issuers use few of them, so they are remembered.

    Raises:
        Refused: It is no header, or asks for what is not supported.
    """
    fields = decode_json(decode_segment(segment))
    algorithm, key_id = fields.get("alg"), fields.get("kid")
    if not isinstance(algorithm, str):
        raise Refused(INVALID, "its header names no algorithm")
    if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= _LONGEST_KEY_ID):
        raise Refused(INVALID, "the kid in its header is no text, or too long")
    for name in _UNSUPPORTED:
        if name in fields:
            raise Refused(INVALID, f"its header asks for {name!r}, which is not supported")
    content = fields.get("cty")
    if content is not None and str(content).lower().removeprefix("application/") == "jwt":
        raise Refused(INVALID, "it is a token within a token")
    return TokenHeader(algorithm, key_id, MappingProxyType(fields))  # many calls share it


def _refuse_deep(data: bytes) -> None:
    depth = 0
    for byte in _TEXT.sub(b"", data):
        if byte in b"{[":
            depth += 1
            if depth > _DEEPEST:
                raise ValueError("too deep")
        elif byte in b"}]":
            depth -= 1


def _kind(error: BaseException) -> str:
    # A JSON error holds the document; its text only the position.
    return str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_float=_finite, parse_constant=_no_constant
)
