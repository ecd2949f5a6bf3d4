"""The back ends of endpoints: which nodes there are, which one gets a request, and how."""

from kratos_gateway.backend.apart import Apart
from kratos_gateway.backend.client import Client, ClientOptions
from kratos_gateway.backend.connections import Connections, ConnectOptions, NodeConnection
from kratos_gateway.backend.probing import Findings
from kratos_gateway.backend.record import NodeRecords
from kratos_gateway.backend.redirects import Redirects
from kratos_gateway.backend.websocket import WEBSOCKET, Upgraded

__all__ = [
    "WEBSOCKET",
    "Apart",
    "Client",
    "ClientOptions",
    "ConnectOptions",
    "Connections",
    "Findings",
    "NodeConnection",
    "NodeRecords",
    "Redirects",
    "Upgraded",
]
