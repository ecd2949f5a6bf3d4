"""Clients: from a target to calls on its nodes, the same for every transport."""

from kratos.client.client import Client
from kratos.client.health import ActiveHealth, HealthCheck, asking
from kratos.client.pool import NodeStats
from kratos.client.resolver import Resolver
from kratos.client.target import Target

__all__ = [
    "ActiveHealth",
    "Client",
    "HealthCheck",
    "NodeStats",
    "Resolver",
    "Target",
    "asking",
]
