"""JSON in bodies: read and written so that what is not changed says the same afterwards."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any, Final, NoReturn

__all__ = ["is_json", "read_json", "write_json"]

_TYPE: Final = re.compile(rb"application/(?:[a-z0-9!#$&^_.+-]+\+)?json", re.IGNORECASE)
# Nobody outside can write a text that begins so, as it is another one in each process.
_MARK: Final = f"\ue000{secrets.token_hex(8)}:"
_MARKED: Final = re.compile(f'"{_MARK}([^"]*)"')


def is_json(content_type: bytes, /) -> bool:
    """Tell whether a media type is one document of JSON (RFC 8259, RFC 6839)."""
    kind = content_type.partition(b";")[0].strip()
    return bool(_TYPE.fullmatch(kind)) and not kind.lower().startswith(b"application/grpc")


def read_json(data: bytes, /) -> Any:
    """Return what a text of JSON says; fractions stay as they are written.

    Of a name that is there twice the last one counts, so that only one is passed on.

    Raises:
        ValueError: It is none, or is nested too deeply.
    """
    try:
        return json.loads(data.decode(), parse_float=_fraction, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_json(document: Any, /) -> bytes:
    """Return a document as text.

    Raises:
        ValueError: It is nested too deeply.
    """
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    text = _MARKED.sub(r"\1", text)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a pair, which is written as it came: escaped
        return _escaped(text).encode()


def _fraction(text: str) -> str:
    return f"{_MARK}{text}"


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no value of JSON")


def _escaped(text: str) -> str:
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
