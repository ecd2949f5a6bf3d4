"""Calls whose peers cancel them themselves when their deadlines pass."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import Final

from kratos.transport import Call, Cause

__all__ = ["PeerCall"]

# Seconds. The peer counts its deadline from when it sent the call, the server from when it
# came: a peer that gives up on time seems a little early here.
_EARLY: Final = 0.05


class PeerCall(Call):
    """A call that a peer made; one whose peer gives up at the deadline ended by that."""

    __slots__ = ()

    def cancel(self, cause: Cause, /) -> None:
        """Cancel the task that runs the call; see ``Call``."""
        deadline = self.deadline
        if (
            cause is Cause.PEER_GONE
            and deadline is not None
            and get_running_loop().time() >= deadline - _EARLY
        ):
            cause = Cause.DEADLINE
        super().cancel(cause)
