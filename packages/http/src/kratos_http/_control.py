"""Messages between the ends of a WebSocket that are none of the method's.

Go's forms are ``end`` and ``error:`` with a text. Ends that have agreed on our own protocol
write errors as JSON, and have ``headers:`` and ``trailers:`` besides.
"""

from __future__ import annotations

import json
from typing import Any, Final, cast

from kratos.encoding.json import PROTOJSON
from kratos.errors import Error
from kratos.transport import Header
from kratos_http._details import MEMBER, from_json, with_details
from kratos_http._refusal import refusal

__all__ = [
    "END",
    "ERROR",
    "HEADERS",
    "PREFIX",
    "TRAILERS",
    "error_message",
    "fields_message",
    "read_error",
    "read_fields",
]

PREFIX: Final = "\x1e"
END: Final = "\x1eend"
ERROR: Final = "\x1eerror:"
HEADERS: Final = "\x1eheaders:"
TRAILERS: Final = "\x1etrailers:"

# Go's text: error: code = 404 reason = R message = m metadata = map[k:v] cause = <nil>
_CODE, _REASON, _MESSAGE = "error: code = ", " reason = ", " message = "
_METADATA, _CAUSE = " metadata = map[", "] cause = "
_MOST_DIGITS: Final = 9  # what an int32 surely holds


def error_message(error: Error, *, own: bool) -> str:
    """Return the message for an error.

    Args:
        error: The error.
        own: Whether the peer understands our form.
    """
    if own:
        body = refusal(error).body
        if error.details:
            body = with_details(PROTOJSON, body, error.details)
        return ERROR + body.decode()
    told = Error(error.code, error.reason, error.message, error.metadata)  # its cause is ours
    return f"{ERROR}{told}".encode("utf-8", "replace").decode()


def read_error(text: str, *, own: bool) -> Error:
    """Return the error of a message; of Go's text all but the metadata."""
    if own:
        found = _object(text)
        code, metadata = found.get("code"), found.get("metadata")
        pairs = cast("dict[str, object]", metadata) if isinstance(metadata, dict) else {}
        return Error(
            code if type(code) is int and abs(code) < 10**_MOST_DIGITS else 500,
            str(found.get("reason", "")),
            str(found.get("message", "")),
            {key: str(value) for key, value in pairs.items()},
            details=from_json(found.get(MEMBER)),
        )
    return _error_of_go(text) or Error(500, "UNKNOWN", text)


def _error_of_go(text: str) -> Error | None:
    """Return the error of Go's text, from which the metadata cannot be told for sure.

    The reason ends where a message may begin, and the message where the last metadata do. Not by
    an expression: it would try every beginning with every end, and a peer chooses how many.
    """
    if not text.startswith(_CODE):
        return None
    code, _, rest = text.removeprefix(_CODE).partition(_REASON)
    reason, _, rest = rest.partition(_MESSAGE)
    cause = rest.rfind(_CAUSE)
    metadata = rest.rfind(_METADATA, 0, cause) if cause >= 0 else -1
    if metadata < 0 or not (code.isascii() and code.isdigit() and len(code) <= _MOST_DIGITS):
        return None
    return Error(int(code), reason, rest[:metadata])


def fields_message(prefix: str, header: Header) -> str:
    """Return the message for headers or trailers."""
    values = {name: header.values(name) for name in header}
    return prefix + json.dumps(values, ensure_ascii=True)


def read_fields(text: str) -> Header:
    """Return the headers or trailers of a message; what is malformed is left out."""
    header = Header()
    for name, values in _object(text).items():
        for value in cast("list[object]", values) if isinstance(values, list) else ():
            try:
                header.add(name, str(value))
            except ValueError:
                continue
    header.freeze()
    return header


def _object(text: str) -> dict[str, Any]:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
