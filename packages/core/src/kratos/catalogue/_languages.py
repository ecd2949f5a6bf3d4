"""Language tags, and those that somebody accepts (RFC 5646, RFC 9110 12.5.4, RFC 4647 3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

__all__ = ["MOST_CHARACTERS", "chosen", "tag_of"]

_TAG: Final = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_RANGE: Final = re.compile(
    r"\s*(?P<range>\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*"
    r"(?:;\s*[qQ]\s*=\s*(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
MOST_CHARACTERS: Final = 1024
_MOST_RANGES: Final = 32


def tag_of(name: str) -> str:
    """Return a language tag as it is written, ``_`` as in names of locales turned into ``-``.

    Raises:
        ValueError: It is none.
    """
    tag = name.replace("_", "-")
    if _TAG.fullmatch(tag) is None:
        raise ValueError(f"{name!r} is no language tag such as de or pt-BR")
    return tag


def chosen(accepted: str, offered: Mapping[str, str], default: str) -> tuple[str, ...]:
    """Return the offered languages that suit, the best first.

    Each range is looked up as RFC 4647 3.4 has it: ``de-CH`` finds ``de``, but ``de`` no
    ``de-CH``. What is malformed is passed over, and all that comes after the first 1024
    characters or 32 ranges.

    Args:
        accepted: Value of ``Accept-Language``; empty for no wishes.
        offered: Tags by their lower-case forms.
        default: The language for those who get no other, last; refused by ``q=0``. Empty for
            none.
    """
    ranges = _ranges(accepted)
    refused = {tag for tag, weight in ranges if weight == 0}
    found: dict[str, None] = {}
    for tag, weight in sorted(ranges, key=lambda each: -each[1]):
        if weight > 0:
            found.update(dict.fromkeys(_lookup(tag, offered, refused)))
    if default and not any(_covers(tag, default.lower()) for tag in refused - {"*"}):
        found[default] = None
    return tuple(found)


def _ranges(accepted: str) -> list[tuple[str, float]]:
    # A cut in the midst of a range leaves a shorter one; up to the last comma all are whole.
    if len(accepted) > MOST_CHARACTERS:
        accepted = accepted[:MOST_CHARACTERS].rpartition(",")[0]
    ranges: list[tuple[str, float]] = []
    for part in accepted.split(",", _MOST_RANGES)[:_MOST_RANGES]:
        found = _RANGE.fullmatch(part)
        if found is not None:
            ranges.append((found["range"].lower(), float(found["weight"] or 1)))
    return ranges


def _lookup(tag: str, offered: Mapping[str, str], refused: set[str]) -> Iterator[str]:
    while tag:
        if tag in refused:
            return
        if tag in offered:
            yield offered[tag]
        tag = tag.rpartition("-")[0]
        if tag[-2:-1] == "-":  # a single character begins something that is gone now
            tag = tag[:-2]


def _covers(prefix: str, tag: str) -> bool:
    return tag == prefix or tag.startswith(f"{prefix}-")
