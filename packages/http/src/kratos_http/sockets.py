"""WebSockets as a client speaks them: for packages that write their handshakes themselves."""

from __future__ import annotations

from kratos_http._frames import Frames, Message, Side
from kratos_http._handshake import new_key
from kratos_http._socket import FramedSocket
from kratos_http._streaming import StreamConnection

__all__ = ["FramedSocket", "Frames", "Message", "Side", "StreamConnection", "new_key"]
