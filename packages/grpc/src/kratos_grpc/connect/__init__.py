"""The Connect protocol: RPC that browsers and curl can speak, over HTTP/1.1 and HTTP/2."""

from kratos_grpc.connect._connector import ConnectConnector
from kratos_grpc.connect._protocol import Connect

__all__ = ["Connect", "ConnectConnector"]
