"""Answers as they are kept in a store: a line of JSON, then the bytes of the message.

Pure functions; the names in the line are short, as there is one per answer. What is read back may
have been written by anybody who reaches the store, and is looked at piece by piece.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from kratos.errors import Error
from kratos.transport.header import Header

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage

__all__ = ["chosen", "error_of", "headers_in", "pack", "put", "told", "unpack"]

_VERSION: Final = 1
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def pack(head: Mapping[str, object], body: bytes = b"") -> bytes:
    """Return what ``unpack`` takes apart."""
    return _ENCODER.encode({"v": _VERSION, **head}).encode() + b"\n" + body


def unpack(data: bytes) -> tuple[Mapping[str, Any], bytes] | None:
    """Return head and body; ``None`` for what another version, or other software, wrote."""
    line, _, body = data.partition(b"\n")
    try:
        head: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(head, dict):
        return None
    known = cast("dict[str, Any]", head)
    return (known, body) if known.get("v") == _VERSION else None


def chosen(headers: Header, names: Iterable[str]) -> list[tuple[str, str]]:
    """Return those headers of an answer that are kept with it."""
    return [(name, value) for name in names for value in headers.values(name)]


def headers_in(head: Mapping[str, Any], names: Collection[str]) -> list[tuple[str, str]]:
    """Return the headers that were kept, as far as their names are among those that may be.

    Raises:
        ValueError: They are not what ``chosen`` returned.
    """
    kept: list[tuple[str, str]] = []
    for pair in _listed(head.get("headers"), "headers"):
        match pair:
            case [str(name), str(value)]:
                if name in names:
                    kept.append((name, value))
            case _:
                raise ValueError("a header is no pair of texts")
    Header.of(kept)
    return kept


def put(headers: Header, kept: Sequence[tuple[str, str]]) -> None:
    """Give an answer the headers that were kept, in place of those of their names."""
    for name in {name for name, _ in kept}:
        headers.remove(name)
    for name, value in kept:
        headers.add(name, value)


def told(error: Error) -> dict[str, object]:
    """Return an error as JSON knows it."""
    return {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "grpc": error.grpc_code,
        "details": [[one.type_url, b64encode(one.value).decode()] for one in error.details],
    }


def error_of(content: object) -> Error:
    """Return the error that ``told`` was given.

    Raises:
        ValueError: It was not made by ``told``.
    """
    if not isinstance(content, dict):
        raise ValueError("an error is no object")
    match cast("dict[str, object]", content):
        case {
            "code": int(code),
            "reason": str(reason),
            "message": str(message),
            "metadata": metadata,
            "grpc": int() | None as grpc_code,
            "details": details,
        }:
            packed = [_detail(each) for each in _listed(details, "details")]
            error = Error(code, reason, message, _texts(metadata), details=packed)
            return error if grpc_code is None else error.with_grpc_code(grpc_code)
        case _:
            raise ValueError("an error lacks what it has to have")


def _listed(content: object, what: str) -> list[object]:
    if not isinstance(content, list):
        raise ValueError(f"the {what} are no list")
    return cast("list[object]", content)


def _texts(content: object) -> Mapping[str, str]:
    if isinstance(content, dict):
        texts = cast("dict[str, object]", content)
        if all(isinstance(text, str) for text in texts.values()):
            return cast("dict[str, str]", texts)
    raise ValueError("the metadata are no texts by name")


def _detail(content: object) -> AnyMessage:
    from google.protobuf.any_pb2 import Any as AnyMessage

    match content:
        case [str(name), str(value)]:
            return AnyMessage(type_url=name, value=b64decode(value))
        case _:
            raise ValueError("a detail of an error is no pair of texts")
