"""An attempt to register, which comes to its end even if nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from kratos_consul.agent import ConsulUnavailable
from kratos_consul.publication import Publication

__all__ = ["Attempt"]

_OWN_TROUBLE: Final = 500  # and above
_LOOKS: Final = 5  # at whether it has come after all, a quarter of a minute in all


class Attempt:
    """Registers, in the background.

    An agent may do at once what is asked later, over another connection. So who gives an attempt up
    first lets it come to its end, and then takes back what it has made. Where its end is that no
    answer came, it may still be made for a while.

    Args:
        publication: What is registered.
        is_held: Tells whether the id belongs to a publication that stands, and is left alone.
    """

    def __init__(self, publication: Publication, *, is_held: Callable[[str], bool]) -> None:
        self._publication = publication
        self._is_held = is_held
        self._looks = 0
        self._task = asyncio.create_task(
            publication.publish(), name=f"kratos-consul {publication.id}"
        )
        self._task.add_done_callback(_take_note)

    async def wait(self) -> None:
        """Return when the service is registered.

        Raises:
            ConsulUnavailable: The agent did not answer, or refused.
            RegistrationLost: It was gone again before its first heartbeat.

        Cancellation: leaves it under way, for ``undo``.
        """
        await asyncio.wait({self._task})
        self._task.result()

    async def undo(self) -> None:
        """Wait for its end, and take back what it has made.

        Raises:
            ConsulUnavailable: The agent did not answer, or refused; or what it was asked for may
                still be done.

        Cancellation: gives the attempt up as it is.
        """
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if self._is_refused():
            return
        if not self._is_held(self._publication.id) and await self._publication.take_back():
            return
        if self._is_unsure() and self._looks < _LOOKS:
            self._looks += 1
            raise ConsulUnavailable(f"{self._publication.id} may still be registered")

    def _is_refused(self) -> bool:
        status = self._status()
        refused = status is not None and status < _OWN_TROUBLE
        return refused and not self._publication.is_registered

    def _is_unsure(self) -> bool:
        if self._task.cancelled():
            return True
        unanswered = isinstance(self._task.exception(), ConsulUnavailable) and not self._status()
        return unanswered and not self._publication.is_registered

    def _status(self) -> int | None:
        """Return the status of the answer that it failed with; ``None`` if there is none."""
        error = None if self._task.cancelled() else self._task.exception()
        return error.status if isinstance(error, ConsulUnavailable) else None


def _take_note(task: asyncio.Task[None]) -> None:
    """Look at an outcome that nobody may be waiting for any more."""
    if not task.cancelled():
        task.exception()
