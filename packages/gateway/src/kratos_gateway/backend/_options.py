"""How nodes are connected to."""

from __future__ import annotations

from dataclasses import dataclass

from kratos.options import require_count, require_number
from kratos_http.proxies import Proxies

__all__ = ["ConnectOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """How nodes are connected to. Times are seconds.

    Attributes:
        dial_timeout: To connect, TLS included.
        idle_timeout: For which an unused connection is kept.
        max_connections: To one node over HTTP/1.1; further requests wait for one.
        max_head: Bytes of an answer without its body.
        max_message: Bytes of the largest message of a WebSocket.
        proxies: Which proxy leads to which node; ``None`` for none.

    Raises:
        ConfigError: A number is out of its range.
    """

    dial_timeout: float = 0.2
    idle_timeout: float = 90.0
    max_connections: int = 1000
    max_head: int = 256 * 1024
    max_message: int = 4 * 1024 * 1024
    proxies: Proxies | None = None

    def __post_init__(self) -> None:
        require_number("dial_timeout", self.dial_timeout, above=0)
        require_number("idle_timeout", self.idle_timeout, above=0)
        require_count("max_connections", self.max_connections)
        require_count("max_head", self.max_head)
        require_count("max_message", self.max_message)
