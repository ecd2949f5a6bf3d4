"""What a worker tells its supervisor of its metrics."""

from __future__ import annotations

from kratos.log import Level, Logger
from kratos.metrics import Meter, Snapshotting, to_wire
from kratos.workers._channel import Channel
from kratos.workers._messages import LARGEST, Measured, encode

__all__ = ["Telling"]


class Telling:
    """Sends what a meter has counted.

    Args:
        meter: The worker's.
        channel: To the supervisor.
        log: Where it is told that there is too much.
    """

    def __init__(self, meter: Meter, channel: Channel, *, log: Logger) -> None:
        self._meter = meter if isinstance(meter, Snapshotting) else None
        self._channel = channel
        self._log = log
        self._troubled = False

    def send(self, *, asked: bool = False) -> None:
        """Send it now; a meter that cannot tell has an answer only for whoever asks."""
        if self._meter is None:
            if asked:
                self._channel.send(Measured())
            return
        frame = encode(Measured())
        try:
            told = encode(Measured(families=to_wire(self._meter.snapshot())))
            if len(told) > LARGEST:
                raise ValueError(f"{len(told)} bytes of metrics are more than {LARGEST}")
            frame = told
        except Exception as error:
            # Once: it will not be better the next time.
            if not self._troubled:
                self._log.log(Level.ERROR, "metrics are not told", {"error": error})
            self._troubled = True
        self._channel.send_frame(frame)
