"""What a back end supplies for one watched thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["Versioned", "Watcher"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned(Generic[T_co]):
    """A value and the point in the back end's history at which it was true.

    Args:
        value: The full state; empty is a value.
        token: Revision, index or counter. Only the watcher that gave it understands it.
    """

    value: T_co
    token: object = None


class Watcher(Protocol[T_co]):
    """Primitives over one watched thing; no loop, no back-off, no de-duplication.

    One caller at a time. After an error the caller closes the watcher and asks for a new one,
    so a watcher need not mend itself.
    """

    async def read(self) -> Versioned[T_co]:
        """Return the full present state.

        An entry that cannot be decoded is left out, logged once and counted.

        Raises:
            RegistryUnavailable: The back end did not answer (config sources: their own kin).

        Cancellation: may be cancelled at any time, and leaves the watcher usable.
        """
        ...

    async def changed(self, since: object, /) -> Versioned[T_co] | None:
        """Wait until the state may differ from the one of token ``since``.

        Returns:
            The new full state, or ``None`` for "read again". A result that did not change is
            allowed, and dropped by the core; returning in a tight loop is not.

        Raises:
            RegistryUnavailable: As ``read``; also when the connection is lost meanwhile.

        Cancellation: may be cancelled at any time, and leaves the watcher usable.
        """
        ...

    async def aclose(self) -> None:
        """Release everything and end a pending ``read`` or ``changed``; idempotent."""
        ...
