"""Conditional requests (RFC 9110, 13)."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from kratos.transport import Header

__all__ = ["may_range", "seconds_of", "verdict"]

_WEAK: Final = "W/"
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


def verdict(headers: Header, etag: str, modified: int | None) -> int:
    """Return 200, 304 or 412, in the order of precedence of RFC 9110, 13.2.2.

    Args:
        headers: Of a GET or HEAD request.
        etag: Tag of what there is; empty if it has none.
        modified: When it was last changed, in whole seconds since the epoch; ``None`` if that is
            not known, and then conditions of time do not hold.
    """
    wanted = ",".join(headers.values("if-match"))
    if wanted:
        if not _lists(wanted, etag, weak=False):
            return 412
    else:
        since = seconds_of(headers.get("if-unmodified-since"))
        if since is not None and modified is not None and modified > since:
            return 412
    known = ",".join(headers.values("if-none-match"))
    if known:
        return 304 if _lists(known, etag, weak=True) else 200
    since = seconds_of(headers.get("if-modified-since"))
    return 304 if since is not None and modified is not None and modified <= since else 200


def may_range(headers: Header, etag: str, modified: int | None) -> bool:
    """Tell whether a part may be sent: ``If-Range`` is absent or names what there is."""
    condition = headers.get("if-range").strip()
    if not condition:
        return True
    if '"' in condition:
        return condition == etag and not etag.startswith(_WEAK)
    return modified is not None and seconds_of(condition) == modified


def _lists(header: str, etag: str, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    tags: list[str] = _TAG.findall(header)
    if weak:
        return etag.removeprefix(_WEAK) in [tag.removeprefix(_WEAK) for tag in tags]
    return etag in tags and not etag.startswith(_WEAK)


def seconds_of(date: str) -> int | None:
    """Return a date of HTTP in seconds since the epoch; ``None`` for what is none."""
    if not date:
        return None
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):  # a year, or a zone, of twenty digits
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return int(moment.timestamp())
    except (ValueError, OverflowError):
        return None
