"""One stream of a connection, as far as frames go."""

from __future__ import annotations

from collections import deque
from typing import Any

__all__ = ["Stream"]


class Stream:
    """A stream; its connection changes it.

    Attributes:
        id: Its identifier.
        owner: What the owner of the connection keeps for it.
        received_end: Whether the peer has sent all that it will.
        sent_end: Whether we have, what is pending included.
        closed: Whether nothing more comes or goes, well ended or not.
        pending: Bytes of DATA that wait for windows or for the transport.
        answered: Whether a final response has been sent or received.
    """

    __slots__ = (
        "answered",
        "closed",
        "expected",
        "id",
        "interims",
        "no_body",
        "offset",
        "owner",
        "pending",
        "queue",
        "received",
        "received_end",
        "send_window",
        "sent_end",
        "spent",
        "trailers",
        "unread",
        "window",
    )

    def __init__(self, identifier: int, *, window: int, send_window: int, owner: Any) -> None:
        self.id = identifier
        self.owner = owner
        self.received_end = False
        self.sent_end = False
        self.closed = False
        self.pending = 0
        self.answered = False
        # For the connection:
        self.window = window  # bytes that the peer may still send
        self.spent = 0  # bytes read that the peer was not told of
        self.unread = 0  # bytes that came and were not read
        self.send_window = send_window
        self.queue: deque[bytes] | None = None  # DATA that waits
        self.offset = 0  # bytes of the first of it that were sent
        self.trailers: bytes | None = None  # the block that follows it
        self.expected: int | None = None  # bytes of body that are still to come, if that is known
        self.received = 0
        self.no_body = False
        self.interims = 0  # interim responses

    def __repr__(self) -> str:
        return f"<Stream {self.id}>"
