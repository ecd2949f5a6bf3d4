"""What answers the requests of one configuration."""

from kratos_gateway.proxy.forwarding import Forwarding
from kratos_gateway.proxy.observing import (
    EndpointRecorder,
    MethodRecorder,
    NoMetrics,
    Recorders,
)
from kratos_gateway.proxy.proxy import MiddlewareFactory, Proxy
from kratos_gateway.proxy.replay import ReplayMemory
from kratos_gateway.proxy.tally import Tallies

__all__ = [
    "EndpointRecorder",
    "Forwarding",
    "MethodRecorder",
    "MiddlewareFactory",
    "NoMetrics",
    "Proxy",
    "Recorders",
    "ReplayMemory",
    "Tallies",
]
