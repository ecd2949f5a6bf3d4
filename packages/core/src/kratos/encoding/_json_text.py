"""JSON text, as strict as the standard: no double members, no ``NaN``, nothing behind the value."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from kratos.encoding._codec import CodecError
from kratos.encoding._scalars import show

__all__ = ["dump_text", "load_text"]


def dump_text(value: Any) -> bytes:
    """Return JSON values as compact UTF-8."""
    return _ENCODER.encode(value).encode()


def load_text(data: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        CodecError: It is no JSON, is not UTF-8, or has a member twice.
    """
    try:
        return _DECODER.decode(data if isinstance(data, str) else data.decode())
    except CodecError:
        raise
    except UnicodeDecodeError as error:
        raise CodecError(f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise CodecError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise CodecError("the JSON is nested too deeply") from None
    except ValueError:  # the one other that the decoder raises, in words for programmers
        raise CodecError("a number has more digits than anybody reads") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise CodecError(f"member {show(twice)} is given twice", twice)
    return members


def _constant(name: str) -> Any:
    raise CodecError(f"{name} is no JSON: write it as text")


_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
)
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant)
