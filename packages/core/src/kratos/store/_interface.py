"""What a store has to offer."""

from __future__ import annotations

import math
from typing import Protocol, cast

__all__ = ["Store", "check_entry"]


class Store(Protocol):
    """Keeps bytes by key for a while.

    A key is any text, a value any bytes, also none: an empty value is not an absent one. Each
    method is atomic: of two that meet, one comes first.

    All raise ``StoreUnavailable`` if the back end does not answer in time; what they were to do
    may have been done then. Its kind ``StoreFull`` says that there is no room.

    Cancellation: the operation was done, or was not.
    """

    async def get(self, key: str, /) -> bytes | None:
        """Return the value of a key; ``None`` if there is none, or no more."""
        ...

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        """Keep a value, in place of what was there.

        Args:
            key: Any text.
            value: What to keep.
            ttl: Seconds from now after which it is gone; more than 0, and finite.

        Raises:
            TypeError: The value is not ``bytes``.
            ValueError: The time is none.
        """
        ...

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        """Keep a value if the key has none, and tell whether that was so; else as ``set``.

        Of any number of callers at once, exactly one is told that it was.
        """
        ...

    async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
        """Keep a value if the key has the expected one, and tell whether that was so.

        Arguments and errors as ``set``. By this a lock is renewed by who holds it, and by nobody
        else.
        """
        ...

    async def delete(self, key: str, /, *, expected: bytes | None = None) -> bool:
        """Forget a key, and tell whether there was one to forget.

        Args:
            key: Any text.
            expected: The value that is to be forgotten; any other one stays. ``None`` for any.
        """
        ...

    async def aclose(self) -> None:
        """Release what the store holds; idempotent. Afterwards, methods may raise."""
        ...


def check_entry(value: bytes, ttl: float) -> None:
    """Refuse what no store keeps; for implementations.

    Raises:
        TypeError: The value is not ``bytes``.
        ValueError: The time is not a positive, finite number of seconds.
    """
    given = cast("object", value)
    if not isinstance(given, bytes):
        raise TypeError(f"a store keeps bytes, not {type(given).__name__}")
    if not 0 < ttl < math.inf:
        raise ValueError(f"ttl={ttl!r} must be finite and more than 0 seconds")
