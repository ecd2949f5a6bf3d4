"""A look at a stream before its caller gets it, so that one that fails at once can be replaced."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from kratos.limit import cancel_and_wait
from kratos.transport.call import Call
from kratos.transport.client_stream import WireStream

__all__ = ["Peek"]


class Opening(Protocol):
    """Where a client's stream is handed to; see ``Call.opening``."""

    @property
    def attached(self) -> bool:
        """Whether the caller holds its stream."""
        ...

    async def attach(self, call: Call, stream: WireStream) -> None:
        """Give the caller its stream and wait for the end."""
        ...


class Peek:
    """Hands an attempt's stream on when its first reply is there, or has not come for a while.

    Args:
        opening: Where it goes on to.
        patience: Seconds to wait for the first reply.
    """

    __slots__ = ("_opening", "_patience")

    def __init__(self, opening: Opening, patience: float) -> None:
        self._opening = opening
        self._patience = patience

    @property
    def attached(self) -> bool:
        """Whether the caller holds its stream."""
        return self._opening.attached

    async def attach(self, call: Call, stream: WireStream) -> None:
        """Give the caller its stream and wait for the end.

        Raises:
            Exception: The stream failed before the caller had it, or as it ended.
        """
        reading = asyncio.create_task(_receive(stream))
        try:
            await asyncio.wait((reading,), timeout=self._patience)
            failure = reading.exception() if reading.done() else None
            if failure is not None and not isinstance(failure, StopAsyncIteration):
                raise failure
            del failure  # it may hold this frame
            await self._opening.attach(call, _Begun(stream, reading))
        finally:
            await cancel_and_wait(reading)
            if not reading.cancelled():
                reading.exception()  # seen: its caller may not have wanted it


class _Begun:
    """A stream whose first reply is being received."""

    __slots__ = ("_reading", "_stream")

    def __init__(self, stream: WireStream, reading: asyncio.Task[Any]) -> None:
        self._stream = stream
        self._reading: asyncio.Task[Any] | None = reading

    async def receive(self) -> Any:
        reading = self._reading
        if reading is None:
            return await self._stream.receive()
        # Who gives up waiting for a reply may wait again.
        reply = await asyncio.shield(reading)
        self._reading = None
        return reply

    async def send(self, message: Any, /) -> None:
        await self._stream.send(message)

    async def end(self) -> None:
        await self._stream.end()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _receive(stream: WireStream) -> Any:
    return await stream.receive()
