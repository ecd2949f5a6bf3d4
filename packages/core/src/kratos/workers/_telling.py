"""What a worker tells its supervisor of its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from kratos.log import Level, Logger
from kratos.metrics import Meter, Snapshotting, to_wire
from kratos.workers._channel import Channel
from kratos.workers._messages import LARGEST, Measured, encode
from kratos.workers._parts import parted

__all__ = ["Telling"]


class Telling:
    """Sends what a meter has counted.

    Args:
        meter: The worker's.
        channel: To the supervisor.
        parts: Whether the supervisor takes parts, between which calls go on.
        log: Where it is told that there is too much.
    """

    def __init__(self, meter: Meter, channel: Channel, *, parts: bool, log: Logger) -> None:
        self._meter = meter if isinstance(meter, Snapshotting) else None
        self._channel = channel
        self._parts = parts
        self._log = log
        self._wanted = asyncio.Event()
        self._over = False
        self._troubled = False

    def want(self, *, asked: bool = False) -> None:
        """Have it sent soon; a meter that cannot tell has an answer only for whoever asks."""
        if self._meter is not None:
            self._wanted.set()
        elif asked:
            self._channel.send(Measured(failed=True))

    async def run(self) -> None:
        """Send what is wanted, part by part."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            for frame in self.frames():
                self._channel.send_frame(frame)
                await asyncio.sleep(0)
                if self._over:
                    return

    def end(self) -> None:
        """Send it for the last time, and at once."""
        self._over = True
        for frame in self.frames():
            self._channel.send_frame(frame)

    def frames(self) -> Iterator[bytes]:
        """Return what is to be sent, each frame encoded when it is asked for."""
        if self._meter is None:
            return
        try:
            yield from self._encoded(self._meter)
        except Exception as error:
            # Once: it will not be better the next time.
            if not self._troubled:
                self._log.log(Level.ERROR, "metrics are not told", {"error": error})
            self._troubled = True
            yield encode(Measured(failed=True))

    def _encoded(self, meter: Snapshotting) -> Iterator[bytes]:
        snapshot = meter.snapshot()
        parts = parted(snapshot) if self._parts else iter([snapshot])
        part, begins = next(parts), True
        while True:
            following = next(parts, None)
            told = Measured(families=to_wire(part), begins=begins, more=following is not None)
            frame = encode(told)
            if len(frame) > LARGEST:
                raise ValueError(f"{len(frame)} bytes of metrics are more than {LARGEST}")
            yield frame
            if following is None:
                return
            part, begins = following, False
