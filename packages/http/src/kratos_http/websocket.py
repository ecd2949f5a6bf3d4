"""Client and bidirectional streaming over HTTP: WebSocket (Go: transport/http/stream.go)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from kratos.errors import Error
from kratos.transport import HttpRule, Operation
from kratos.transport.http import Head, Socket
from kratos_http._conversation import Conversation
from kratos_http._decoding import binding_of
from kratos_http.rest import RestOptions
from kratos_http.streams import StreamOptions

__all__ = ["WebSocketEndpoint"]

_ANY: Final = "*"


class WebSocketEndpoint:
    """An ``Upgraded`` endpoint: one rule of one method that streams requests.

    Each text or binary message is one request or reply; what begins with the byte 0x1E says
    that a direction has ended, and how. Go Kratos' forms, but for errors between ends that
    both offer the sub-protocol ``kratos.stream.v1``.

    Args:
        operation: What is called.
        rule: How it is reached.
        variables: Names of the path variables, in the order of ``Head.params``.
        options: Shared by the server's endpoints.
        streams: Shared by the server's streams.

    Attributes:
        binding: Makes requests of messages.
        operation: What is called.
        options: Shared by the server's endpoints.
        streams: Shared by the server's streams.

    Raises:
        ConfigError: The rule names a field that its message has not.
    """

    __slots__ = ("binding", "operation", "options", "streams")

    def __init__(
        self,
        operation: Operation,
        rule: HttpRule,
        variables: tuple[str, ...],
        options: RestOptions,
        *,
        streams: StreamOptions,
    ) -> None:
        self.operation = operation
        self.binding = binding_of(operation.method, rule, variables, options, streamed=True)
        self.options = options
        self.streams = streams

    async def talk(self, head: Head, socket: Socket, /) -> None:
        """Accept the handshake when the chain has, then carry the call."""
        if not self._may_open(head):
            error = Error(403, "ORIGIN", "WebSockets may not be opened from this origin")
            await socket.refuse(self.options.refusal(head, error))
            return
        await Conversation(self, head, socket).run()

    def _may_open(self, head: Head) -> bool:
        origin = head.header(b"origin").decode("latin-1")
        allowed = self.streams.origins
        if not origin:
            return True
        if allowed is not None:
            return _ANY in allowed or origin in allowed
        host = head.header(b"host").decode("latin-1")
        return _host_of(origin) == host.lower()


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
