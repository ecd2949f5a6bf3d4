"""Paths in the one form by which they are matched, and which back ends get.

As in Go a path is decoded before it is matched, so that no spelling of it leads around the
endpoint that is meant for it; and the back end gets what was matched.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from kratos.errors import Error

__all__ = ["ASTERISK", "CleanPath", "clean"]

ASTERISK: Final = b"*"

# Segments that begin with a dot are looked at one by one.
_IS_CLEAN: Final = re.compile(rb"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)*/?")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_KEPT: Final = "/!$&'()*+,;=:@~"  # letters, digits and ``_.-`` are kept anyway


class CleanPath(NamedTuple):
    """A path in both of its forms.

    Attributes:
        decoded: As it is matched; bytes that are no UTF-8 are surrogates.
        wire: As it is sent, percent-encoded.
    """

    decoded: str
    wire: str


def clean(raw: bytes) -> CleanPath:
    """Return a path with a slash in front, decoded, without empty segments, ``.`` and ``..``.

    One slash at the end stays. An encoded slash becomes a slash, as in Go.

    Raises:
        Error: 400: a percent sign is not followed by two hexadecimal digits, or it is the asterisk
            of ``OPTIONS *``, which is no path.
    """
    if raw and _IS_CLEAN.fullmatch(raw):
        text = raw.decode("ascii")
        return CleanPath(text, text)
    if raw == ASTERISK:
        raise Error(400, "BAD_REQUEST", "an asterisk is no path")
    if _BAD_ESCAPE.search(raw):
        raise Error(400, "BAD_REQUEST", "the path holds a percent sign that begins no escape")
    decoded = _resolved(unquote_to_bytes(raw).decode("utf-8", "surrogateescape"))
    wire = quote_from_bytes(decoded.encode("utf-8", "surrogateescape"), safe=_KEPT)
    return CleanPath(decoded, wire)


def _resolved(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    if kept and path.endswith("/"):
        kept.append("")
    return "/" + "/".join(kept)
