"""Messages between the ends of a WebSocket that are none of the method's.

Go's forms are ``end`` and ``error:`` with a text. Ends that have agreed on our own protocol
write errors as JSON, and have ``headers:`` and ``trailers:`` besides.
"""

from __future__ import annotations

import json
import re
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

_GO: Final = re.compile(
    r"error: code = (\d+) reason = (.*?) message = (.*) metadata = (map\[.*\]) cause = .*",
    re.DOTALL,
)


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
            code if isinstance(code, int) else 500,
            str(found.get("reason", "")),
            str(found.get("message", "")),
            {key: str(value) for key, value in pairs.items()},
            details=from_json(found.get(MEMBER)),
        )
    match = _GO.fullmatch(text)
    if match is None:
        return Error(500, "UNKNOWN", text)
    return Error(int(match[1]), match[2], match[3])


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
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
