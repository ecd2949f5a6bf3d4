"""Answers through a wire."""

from __future__ import annotations

from kratos.transport.http import Head, Reply, Wire, WireHeaders
from kratos_http._format import has_body
from kratos_http._inbound import merged
from kratos_http.replies import StreamReply

__all__ = ["send", "send_stream", "start_stream"]


async def send(wire: Wire, reply: Reply) -> None:
    """Send a whole answer.

    Raises:
        ValueError: A header cannot be sent; nothing was.
        Error: The peer has gone.
    """
    headers = [pair for pair in reply.headers if pair[0].lower() != b"content-length"]
    if reply.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(reply.body)))
        if reply.trailers:
            headers.pop()  # trailers go with a body in chunks only
    wire.start(reply.status, headers)
    await wire.write(reply.body)
    await wire.finish(reply.trailers)


def start_stream(wire: Wire, reply: StreamReply, headers: WireHeaders) -> None:
    """Begin an answer that is made while it is sent.

    Args:
        wire: Where to.
        reply: The answer.
        headers: In place of those of the reply that have the same names.

    Raises:
        ValueError: A header cannot be sent; nothing was.
    """
    sent = list(merged(reply.headers, headers))
    if reply.length is not None:
        sent.append((b"content-length", b"%d" % reply.length))
    wire.start(reply.status, sent)


async def send_stream(wire: Wire, head: Head, reply: StreamReply, trailers: WireHeaders) -> None:
    """Send the rest of an answer that has begun.

    Raises:
        RuntimeError: The body has not the length that was announced.
        Error: The peer has gone.
    """
    if has_body(head.method, reply.status):
        async for piece in reply.pieces:
            await wire.write(piece)
    await wire.finish(trailers)
