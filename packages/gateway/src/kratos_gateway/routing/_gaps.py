"""Texts with gaps in them, matched in one go.

An expression such as ``[^/]+-[^/]+`` tries all places where its parts could meet, and whoever sends
a path of hyphens has the gateway do nothing else for minutes. A gap takes anything but the sign
that separates, so the first place at which the text after it is found is as good as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["Gapped"]


class Gapped:
    """A pattern of texts and gaps.

    Args:
        segments: What is between the separators: the texts around the gaps of each, one more than
            it has gaps.
        separator: No gap takes it.
        prefix: Whether a text may go on after it.
    """

    __slots__ = ("_prefix", "_segments", "_separator")

    def __init__(
        self, segments: Sequence[Sequence[str]], *, separator: str, prefix: bool = False
    ) -> None:
        self._segments: Final = [tuple(each) for each in segments]
        self._separator: Final = separator
        self._prefix: Final = prefix

    def matches(self, text: str) -> bool:
        """Tell whether a text is one of it, in a time that grows with its length alone."""
        parts, wanted = text.split(self._separator), self._segments
        last = len(wanted) - 1
        if len(parts) <= last or (len(parts) > last + 1 and not self._prefix):
            return False
        if not all(_fits(part, texts) for part, texts in zip(parts[:last], wanted, strict=False)):
            return False
        return _fits(parts[last], wanted[last], prefix=self._prefix)

    def sample(self, filling: str) -> str:
        """Return a text of it, or the beginning of one, with something in each of its gaps."""
        return self._separator.join(filling.join(texts) for texts in self._segments)

    def taken(self, text: str) -> int | None:
        """Return the length of the beginning that a prefix takes of a text; ``None`` if none.

        A gap takes what it can, as that of an expression does.
        """
        if not self.matches(text):
            return None
        last = len(self._segments) - 1
        parts, texts = text.split(self._separator), self._segments[last]
        before = sum(len(part) + 1 for part in parts[:last])
        if len(texts) == 1:
            return before + len(texts[0])
        end = texts[-1]
        return before + (parts[last].rfind(end) + len(end) if end else len(parts[last]))


def _fits(part: str, texts: Sequence[str], *, prefix: bool = False) -> bool:
    """Tell whether a segment has some texts with something between each two of them."""
    first, *others = texts
    if not part.startswith(first):
        return False
    if not others:
        return prefix or part == first
    at = len(first)
    for text in others[:-1]:
        found = part.find(text, at + 1)
        if found < 0:
            return False
        at = found + len(text)
    if prefix:
        return part.find(others[-1], at + 1) >= 0
    return len(part) - len(others[-1]) > at and part.endswith(others[-1])
