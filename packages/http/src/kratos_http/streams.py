"""What a server grants and expects on streams."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

from google.protobuf.message import Message

from kratos.errors import ConfigError

__all__ = ["StreamOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How streaming methods are served. Times are seconds; ``None`` switches a thing off.

    The time limit of unary calls never ends a stream. ``timeouts`` of the server, by the name
    of the operation, and a caller's own ``Grpc-Timeout`` do.

    Attributes:
        idle_timeout: Without any message in either direction, after which a stream ends with
            504 ``STREAM_IDLE``, at the latest when twice the time has passed. A peer that takes
            nothing is idle too.
        heartbeat: Without an event, after which a comment is sent on an event stream, so that
            nothing on the way takes it for dead. The first one sends the headers, if no message
            has: an error is then an event, no status. Off by default, as in Go.
        event_id: Returns the ``id`` of the event that carries a message, empty for none. What
            a browser sends back when it connects anew is the header ``last-event-id`` of the
            call; the handler goes on from there.
        origins: Values of ``Origin`` from which browsers may open WebSockets, ``*`` for all;
            ``None`` for the host that they ask, as in Go. Requests without one pass.

    Raises:
        ConfigError: A time is not positive, or ``origins`` is no collection.
    """

    idle_timeout: float | None = None
    heartbeat: float | None = None
    event_id: Callable[[Message], str] | None = None
    origins: Collection[str] | None = None

    def __post_init__(self) -> None:
        for name, value in (("idle_timeout", self.idle_timeout), ("heartbeat", self.heartbeat)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} must be positive seconds or None, not {value}")
        if isinstance(self.origins, str):
            raise ConfigError(f"origins must be a collection of them: ({self.origins!r},)")
