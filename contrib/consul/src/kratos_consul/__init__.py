"""A registry and configuration on Consul, for services of Kratos in Python and in Go."""

from kratos_consul.agent import ConsulUnavailable
from kratos_consul.checks import GrpcCheck, HttpCheck, ServiceCheck, TcpCheck
from kratos_consul.client import ConsulClient
from kratos_consul.registry import MULTI, SINGLE, ConsulRegistry
from kratos_consul.source import ConsulSource

__all__ = [
    "MULTI",
    "SINGLE",
    "ConsulClient",
    "ConsulRegistry",
    "ConsulSource",
    "ConsulUnavailable",
    "GrpcCheck",
    "HttpCheck",
    "ServiceCheck",
    "TcpCheck",
]
