"""Circuit breakers: guards that stop calling what fails."""

from aegis.circuitbreaker.sre import SreBreaker, SreOptions, SreStats
from aegis.circuitbreaker.state import BreakerState
from aegis.circuitbreaker.window import OnChange, WindowBreaker, WindowStats

__all__ = [
    "BreakerState",
    "OnChange",
    "SreBreaker",
    "SreOptions",
    "SreStats",
    "WindowBreaker",
    "WindowStats",
]
