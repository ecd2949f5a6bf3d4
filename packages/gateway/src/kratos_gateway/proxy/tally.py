"""What the requests to an endpoint came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Tally"]

_OWN_FAULT: Final = 500


@dataclass(slots=True)
class Tally:
    """Counts requests to an endpoint, for people; what is scraped is counted by metrics.

    Attributes:
        requests: That have ended.
        failures: Those of them that were answered with a status of 500 or more.
        seconds: Of all of them, from head to end.
    """

    requests: int = 0
    failures: int = 0
    seconds: float = 0.0

    def add(self, code: int, seconds: float) -> None:
        """Count one.

        Args:
            code: Status of its answer.
            seconds: From its head to its end.
        """
        self.requests += 1
        self.seconds += seconds
        if code >= _OWN_FAULT:
            self.failures += 1
