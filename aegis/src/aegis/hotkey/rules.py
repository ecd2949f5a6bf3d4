"""Which keys a cache must keep, or must not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Generic, Literal, TypeVar

__all__ = ["CacheRule", "Rules"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRule:
    """One rule of a white or black list.

    Args:
        value: The key itself, or a regular expression that is searched for in keys. The pattern
            comes from the operator: one that backtracks for ever holds up whoever uses the cache.
        mode: Whether ``value`` is a ``key`` or a ``pattern``.
        ttl: Seconds for which a key of the white list is kept; ``None`` for the time of the cache.

    Raises:
        ValueError: The mode is neither, the pattern cannot be compiled, or ``ttl`` is not more
            than 0; the message names the rule.
    """

    value: str
    mode: Literal["key", "pattern"] = "key"
    ttl: float | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("key", "pattern"):
            msg = f"rule {self.value!r}: mode must be key or pattern, got {self.mode!r}"
            raise ValueError(msg)
        if self.ttl is not None and not 0 < self.ttl < inf:
            msg = f"rule {self.value!r}: ttl must be finite and more than 0, got {self.ttl!r}"
            raise ValueError(msg)
        if self.mode == "pattern":
            try:
                re.compile(self.value)
            except re.error as error:
                msg = f"rule {self.value!r}: not a regular expression: {error}"
                raise ValueError(msg) from error


class Rules(Generic[T]):
    """Finds what the first rule for a key says; rules for one key go before patterns."""

    __slots__ = ("_keys", "_patterns")

    def __init__(self, rules: Iterable[tuple[CacheRule, T]]) -> None:
        self._keys: dict[str, T] = {}
        self._patterns: list[tuple[re.Pattern[str], T]] = []
        for rule, value in rules:
            if rule.mode == "key":
                self._keys.setdefault(rule.value, value)
            else:
                self._patterns.append((re.compile(rule.value), value))

    def find(self, key: str) -> T | None:
        """Return what belongs to the rule that matches, or ``None``."""
        found = self._keys.get(key)
        if found is not None:
            return found
        for pattern, value in self._patterns:
            if pattern.search(key) is not None:
                return value
        return None
