"""What OpenTelemetry's exporters have to say, as one line when they fail and one when they go on.

They log each attempt, and each batch. Here that is kept from the log while it is about exporters of
ours, and what they say first is the reason in our line.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

from kratos.log import Level, Logger

__all__ = ["Complaints"]

_LONGEST: Final = 500  # characters of a reason
_speaking: Final = threading.local()


class _Listener(logging.Filter):
    """Keeps records to itself that come while one of our exporters is at it, in its thread."""

    def filter(self, record: logging.LogRecord) -> bool:
        said: list[str] | None = getattr(_speaking, "said", None)
        if said is None:
            return True
        if record.levelno >= logging.WARNING:
            said.append(record.getMessage())
        return False


_LISTENER: Final = _Listener()


class Complaints:
    """Tells once that telemetry is not taken, and once that it is again.

    Where some of it was taken meanwhile, as by a server that knows traces alone, it tells again
    when that is refused, too.

    Args:
        log: Where to.
        endpoint: Who should take it.
    """

    def __init__(self, log: Logger, endpoint: str) -> None:
        self._log: Final = log
        self._endpoint: Final = endpoint
        self._lock: Final = threading.Lock()
        self._failing: set[str] = set()
        self._partly = False  # whether something else was taken since that was told
        self._lost: Counter[str] = Counter()
        self._over = False

    def listen(self, exporter: object, /) -> None:
        """Keep what an exporter says from the log, where it is said while ``attempt`` lasts."""
        for name in {kind.__module__ for kind in type(exporter).__mro__}:
            if name.startswith("opentelemetry.exporter"):
                logging.getLogger(name).addFilter(_LISTENER)  # adding it twice changes nothing

    def attempt(self, what: str, count: int, send: Callable[[], bool], /) -> bool:
        """Send something, and tell if that changes how things stand.

        Args:
            what: What it is: spans, metrics or records.
            count: How many of them.
            send: Returns whether they were taken.
        """
        _speaking.said = said = list[str]()
        try:
            taken = send()
        except Exception as error:
            taken = False
            said.append(f"{type(error).__name__}: {error}")
        finally:
            _speaking.said = None
        if taken:
            self._taken(what)
        else:
            self.lose(what, count)
            self._refused(what, said)
        return taken

    def lose(self, what: str, count: int, /) -> None:
        """Count what is lost."""
        with self._lock:
            self._lost[what] += count

    def end(self) -> None:
        """Tell what was lost and not told of yet, and nothing more after that."""
        with self._lock:
            self._over = True
            lost, self._lost = +self._lost, Counter()
        if lost:
            self._log.log(
                Level.WARN, "telemetry was lost", {"endpoint": self._endpoint, **_as_fields(lost)}
            )

    def _refused(self, what: str, said: list[str]) -> None:
        with self._lock:
            news = not self._failing or (self._partly and what not in self._failing)
            self._failing.add(what)
            if news:
                self._partly = False
            told = news and not self._over
        if told:
            reason = said[0][:_LONGEST] if said else "it gives no reason"
            self._log.log(
                Level.WARN,
                "telemetry is not taken, and is dropped until it is",
                {"endpoint": self._endpoint, "reason": reason},
            )

    def _taken(self, what: str) -> None:
        if not self._failing:
            return
        with self._lock:
            if what not in self._failing:
                self._partly = True
                return
            self._failing.discard(what)
            if self._failing:
                return
            lost, self._lost = +self._lost, Counter()
        self._log.log(
            Level.INFO, "telemetry is taken again", {"endpoint": self._endpoint, **_as_fields(lost)}
        )


def _as_fields(lost: Counter[str]) -> dict[str, object]:
    """Return what was lost as fields."""
    return {f"lost_{what}": lost[what] for what in sorted(lost)}
