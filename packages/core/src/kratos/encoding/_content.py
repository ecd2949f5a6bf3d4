"""Content types and the ``Accept`` header: which codec names they ask for."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final, NamedTuple

__all__ = ["Wish", "candidates", "content_subtype", "content_type", "wishes"]

_QUOTED: Final = r'"(?:\\.|[^"\\])*"?'
_ITEMS: Final = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_PARTS: Final = re.compile(rf'(?:[^;"]|{_QUOTED})+')
_MOST: Final = 64  # ranges of one header
_BROWSER: Final = "application/xhtml+xml"
_XML: Final = ("/xml", "+xml")
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


def wishes(accept: str) -> list[Wish]:
    """Return the media ranges of an ``Accept`` header in their order (RFC 9110, 12.5.1).

    A malformed weight counts as 1, because refusing a whole header for it would serve nobody;
    what follows the first 64 ranges is not looked at.

    Browsers name XML before ``*/*`` because they can show it, not because they want it: with
    ``application/xhtml+xml`` in the header, ``application/xml`` is no wish.
    """
    found: list[Wish] = []
    for item in islice(_ITEMS.finditer(accept), _MOST):
        media, *parameters = _PARTS.findall(item[0]) or [""]
        media = media.strip()
        if media:
            found.append(Wish(media, _weight(parameters)))
    if any(wish.media.lower() == _BROWSER for wish in found):
        return [wish for wish in found if not wish.media.lower().endswith(_XML)]
    return found


class Wish(NamedTuple):
    """One media range.

    Attributes:
        media: Type and subtype, as they were written; either may be ``*``.
        weight: From 0, not acceptable, to 1.
    """

    media: str
    weight: float

    @property
    def is_any(self) -> bool:
        """Whether it stands for all codecs, each of which makes a type of ``application``."""
        return self.media == "*/*" or self.media.lower() == "application/*"

    @property
    def names(self) -> tuple[str, ...]:
        """The codecs that it may stand for, best first.

        Of suffixes only ``+json``: a reply is announced as ``application/json`` then, which
        readers of JSON take, whereas ``image/svg+xml`` has nothing to do with our XML.
        """
        found = candidates(self.media)
        return found if found[-1:] == ("json",) or "+" not in self.media else found[:-1]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q" and _QUALITY.fullmatch(value.strip()):
            return float(value.strip())
    return 1.0
