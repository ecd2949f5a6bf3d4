"""JSON and wire bytes against both backends, which have to agree with each other."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from google.protobuf.message import DecodeError
from tests.fuzz.messages import message_types

from kratos_protojson import JsonError, ParseOptions, Parser, Printer, PrintOptions
from kratos_protojson.options import Backend

__all__ = ["SEEDS", "WORDS", "check"]

_FRACTION: Final = "expected an integer, got "
_WIRE: Final = 1
_PLAIN: Final = 2
_STRICT: Final = 4
SEEDS: Final = (
    b'\x00\x00{"scalars": {"fDouble": 1.5, "fInt64": "-12", "fString": "x", "fBytes": "AAA="}}',
    b'\x00\x01{"fDouble": "NaN", "fFloat": -0.5e-3, "fUint64": 18446744073709551615, "fColor": 1}',
    b'\x02\x06{"timestamp": "2020-01-01T00:00:00.5Z", "duration": {"seconds": "1"}, "any": {}}',
    b'\x04\x04{"stringString": {"a": "\\u0041"}, "boolInt32": {"true": 1}}',
    b'\x00\x06{"struct": {"a": [1, null, {}]}, "fieldMask": "aB,c", "wrapped": [1, "2"]}',
    b'\x00\x06{"any": {"@type": "x/google.protobuf.Int32Value", "value": 1}, "nulls": [null]}',
    b"\x01\x01\x09\x00\x00\x00\x00\x00\x00\xf8\x3f\x18\x05\x72\x01x",
    b"\x01\x06\x0a\x04\x08\x01\x10\x02\x42\x10\x0a\x0ex/google.proto",
    b"\x01\x05\x30\x25\x1d\x1d\x1d\xfb\x30",
    b"\x01\x03\x0a\x08\x00\x00\x00\x00\x00\x00\xf0\x3f\x1a\x02\x01\x02",
)
WORDS: Final = (
    b'"@type"', b'"x/google.protobuf.Int32Value"', b'"value"', b'"seconds"', b"null", b"true",
    b'"NaN"', b'"-Infinity"', b"1e400", b"-0", b"\\u", b"\\ud83d", b'"2020-01-01T00:00:00Z"',
    b'"1.5s"', b'"scalars"', b'"lists"', b'"maps"', b'"choice"', b'"wellKnown"', b'"inner"',
    b'"children"', b'"fInt32"', b'"fBool"', b'"fColor"', b'"timestamp"', b'"struct"', b'"values"',
    b'"anyValue"', b'"fieldMask"', b'"any"', b"[", b"]", b"{", b"}", b":", b",",
)  # fmt: skip
_BACKENDS: Final[tuple[Backend, ...]] = (
    ("python", "native") if find_spec("kratos_protojson_native") else ("python", "python")
)


def check(data: bytes) -> None:
    """Read a message, print it, read that: both backends do the same, and nothing is lost."""
    if len(data) < 2:
        return
    kinds = message_types()
    kind = kinds[data[1] % len(kinds)]
    if data[0] & _WIRE:
        try:
            message = kind.FromString(data[2:])
        except DecodeError:
            return
        _print(message)
        return
    plain, strict = bool(data[0] & _PLAIN), bool(data[0] & _STRICT)
    plans, rust = (
        _read(_parser(backend, plain=plain, strict=strict), data[2:], kind) for backend in _BACKENDS
    )
    if isinstance(plans, str) or isinstance(rust, str):
        if isinstance(rust, str) and _FRACTION in rust:
            return  # the plans see doubles, which have no fractions beyond 2^52
        assert isinstance(plans, str) == isinstance(rust, str), (plans, rust)
        return
    # Not the messages: what is inside an Any may be spelled in several ways.
    assert _printed(plans, "python", unset=False) == _printed(rust, "python", unset=False)
    _print(plans)


def _read(parser: Parser, data: bytes, kind: Any) -> Any:
    """Return the message, or why there is none."""
    try:
        return parser.from_json(data, kind)
    except JsonError as error:
        return str(error)


def _print(message: Any) -> None:
    kind: Any = message.__class__
    for unset in (False, True):
        plans, rust = (_printed(message, backend, unset=unset) for backend in _BACKENDS)
        assert (plans is None) == (rust is None), (plans, rust)
        if plans is None or rust is None:
            return
        # Small numbers are written in two forms, so values are compared, and their order.
        assert json.dumps(json.loads(plans)) == json.dumps(json.loads(rust))
        if b'"nullValue":null' in plans and not unset:
            continue  # a NullValue of any number is written so, and read as the one that there is
        for backend, text in zip(_BACKENDS, (plans, rust), strict=True):
            again: Any = _parser(backend, plain=False, strict=False).from_json(text, kind)
            assert _printed(again, "python", unset=unset) == plans


def _printed(message: Any, backend: Backend, *, unset: bool) -> bytes | None:
    try:
        return _printer(backend, unset=unset).to_json(message)
    except JsonError:
        return None


@cache
def _printer(backend: Backend, *, unset: bool) -> Printer:
    return Printer(PrintOptions(backend=backend, emit_unset=unset))


@cache
def _parser(backend: Backend, *, plain: bool, strict: bool) -> Parser:
    options = ParseOptions(backend=backend, plain_objects=plain, ignore_unknown=not strict)
    return Parser(options)
