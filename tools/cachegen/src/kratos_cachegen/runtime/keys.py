"""Keys in a cache, made of what identifies a value."""

from __future__ import annotations

__all__ = ["key_of"]


def key_of(name: str, *parts: object) -> str:
    """Return a key, such as ``article:7:de``; different parts make different keys.

    Args:
        name: What is kept.
        parts: Whose texts tell one from another: numbers, texts, enums, dates and the like.
    """
    return ":".join([name, *map(_escaped, parts)])


def _escaped(part: object) -> str:
    return str(part).replace("%", "%25").replace(":", "%3A")
