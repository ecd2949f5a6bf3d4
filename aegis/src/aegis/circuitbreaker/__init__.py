"""Circuit breakers: guards that stop calling what fails."""

from aegis.circuitbreaker.sre import SreBreaker, SreOptions, SreStats
from aegis.circuitbreaker.state import BreakerState

__all__ = ["BreakerState", "SreBreaker", "SreOptions", "SreStats"]
