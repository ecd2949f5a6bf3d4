"""What middleware is made with, besides its options."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.log import Logger, StdLogger
from kratos.metrics import Meter, NopMeter
from kratos.tracing import Tracer
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.exchange import Answer, Request

__all__ = ["Context", "Upstream"]


class Upstream(Protocol):
    """The back ends of an endpoint that middleware asks by itself."""

    async def __call__(self, request: Request, /) -> Answer:
        """Ask one of them, once; raises as ``Handler``."""
        ...

    async def aclose(self) -> None:
        """Give back its connections. Idempotent."""
        ...


def _logger() -> Logger:
    return StdLogger(logging.getLogger("kratos.gateway"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What middleware is made with, besides its options.

    Attributes:
        logger: Where records go, those of ``logging`` too.
        meter: Makes instruments.
        tracer: Makes spans; ``None`` for the installed one.
        clock: Time.
        upstream: Makes what asks the back ends of an endpoint; ``None`` where there are none, as
            when a configuration is only checked.
    """

    logger: Logger = field(default_factory=_logger)
    meter: Meter = field(default_factory=NopMeter)
    tracer: Tracer | None = None
    clock: Clock = SYSTEM_CLOCK
    upstream: Callable[[Endpoint], Upstream] | None = None
