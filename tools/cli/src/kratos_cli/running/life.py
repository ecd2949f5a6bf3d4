"""The life of an application as events, read off what it logs of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from kratos.log import NO_FIELDS, Level, Logger
from kratos_cli.events import Events

__all__ = ["following"]

# Messages are constant, so that records can be found by them.
_EVENTS: Final = {
    "application started": "started",
    "application stopped": "stopped",
    "worker serves": "worker_started",
    "a worker will be started again": "worker_waits",
    "worker ended by itself": "worker_ended",
}


def following(events: Events) -> Callable[[Any], Any]:
    """Return what adds a listener to the log in the options of an application."""
    return lambda options: replace(options, log=_Followed(options.log, events))


class _Followed:
    """A logger that is listened to.

    Args:
        inner: Writes the records.
        events: Told those that are about the life of the application.
    """

    def __init__(self, inner: Logger, events: Events) -> None:
        self.inner = inner
        self._events = events

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        enabled: Callable[[Level], bool] | None = getattr(self.inner, "enabled", None)
        return enabled is None or enabled(level)

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record, and tell the event that it is about."""
        self.inner.log(level, message, fields)
        kind, _, reason = message.partition(": ")
        event = _EVENTS.get(kind)
        if event is None:
            return
        told = dict(fields)
        if "endpoints" in told:
            told["endpoints"] = [url for url in str(told["endpoints"]).split(",") if url]
        if reason:
            told["reason"] = reason
        self._events.tell(event, **told)
