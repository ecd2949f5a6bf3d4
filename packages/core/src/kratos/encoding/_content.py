"""Content types and the ``Accept`` header: which codec names they ask for."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["candidates", "content_subtype", "content_type", "ranked"]

_QUALITY: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def content_subtype(content_type: str) -> str:
    """Return the text between the first ``/`` and the first ``;``, or nothing.

    Exactly Go Kratos' rule (``internal/httputil``): no trimming, no change of case.
    ``text/html; charset=utf-8`` gives ``html``; ``application`` and ``;text/xml`` give "".
    """
    slash = content_type.find("/")
    if slash < 0:
        return ""
    end = content_type.find(";")
    if end < 0:
        return content_type[slash + 1 :]
    return content_type[slash + 1 : end] if slash < end else ""


def content_type(subtype: str) -> str:
    """Return the content type of a codec name: ``application/json`` for ``json``."""
    return f"application/{subtype}"


def candidates(content_type: str) -> tuple[str, ...]:
    """Return the codec names that a content type may stand for, best first.

    Go's rule comes first. Where it finds no codec, the rest makes the usual spellings
    work: spaces and capitals (``Application/JSON ; charset=utf-8``) and the structured
    suffix of RFC 6839 (``application/problem+json``).
    """
    exact = content_subtype(content_type)
    tidy = exact.strip().lower()
    suffix = tidy.rpartition("+")[2]
    return tuple(dict.fromkeys(name for name in (exact, tidy, suffix) if name))


def ranked(accept: str) -> list[str]:
    """Return the media types of an ``Accept`` header, most wanted first (RFC 9110, 12.5.1).

    Types with ``q=0`` are left out, equal weights keep their order; a malformed weight
    counts as 1, because refusing a whole header for it would serve nobody.
    """
    weighed: list[tuple[float, str]] = []
    for item in accept.split(","):
        media, *parameters = item.split(";")
        weight = _weight(parameters)
        if media.strip() and weight > 0:
            weighed.append((-weight, media.strip()))
    weighed.sort(key=lambda pair: pair[0])
    return [media for _, media in weighed]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q" and _QUALITY.fullmatch(value.strip()):
            return float(value.strip())
    return 1.0
