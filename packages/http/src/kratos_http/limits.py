"""What a server accepts from its peers, in size, in number and in time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kratos.options import require_number

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one server. Times are seconds and are kept to within about a second.

    Attributes:
        max_head: Bytes of a request line with its headers; more is answered 431, or 414 when
            the path alone is too long.
        max_headers: Header lines of one request; more are answered 431.
        max_body: Bytes of a body that is read whole; more are answered 413.
        max_upload: Bytes of a body that is a stream of requests, and so never read whole; more are
            answered 413.
        max_parts: Parts of a form with files; more are answered 413.
        max_part_head: Bytes of the headers of one such part; more are answered 413.
        max_pipelined: Requests of one connection that may wait for their turn before nothing
            more is read from it.
        max_streams: Requests of one HTTP/2 connection that may be under way at once; one whose
            peer broke it off counts for as long as its handler runs.
        max_requests: Requests of all HTTP/2 connections of the server that may be under way at
            once. Beyond them a connection may have no more than its part, an equal one: so
            a peer that has too many by many connections is refused, and others are not.
        stream_window: Bytes of one HTTP/2 request that may come before a handler reads them;
            at most 2,147,483,647.
        connection_window: Bytes of all requests of one HTTP/2 connection that may be on their
            way; 65,535 to 2,147,483,647.
        max_bodies: Bytes of bodies of one HTTP/2 connection that are read whole, before its peer is
            held back; and as many of those that handlers read, and have not read.
        max_unsent: Bytes of answers that a peer of HTTP/2 gives no window, before its further
            requests wait.
        max_connections: At once, those in their TLS handshake included. Further peers wait in
            the system's queue; connections that were idle for longest are closed for them, and
            the others after their next answer. Never more than seven eighths of the files that
            the process may open, nor all but 64 of them.
        handshake_timeout: For the TLS handshake.
        first_timeout: For the first byte of a connection's first request.
        head_timeout: For a request line with its headers, from its first byte.
        idle_timeout: For the next request of a connection.
        body_grace: Before ``min_body_rate`` is asked for.
        min_body_rate: Bytes per second, on average, of a body that is read whole, and of one
            that nobody reads any more.
        write_timeout: For a peer that takes less than ``min_write_rate`` of what it asked for.
        min_write_rate: Bytes per second, on average over ``write_timeout``.
        keepalive: Between probes of the system on a connection on which nothing comes; after 9
            of them without an answer the peer is taken for gone.
        max_message: Bytes of the largest message that a WebSocket takes; a larger one closes
            it with 1009, and so does one in more frames than 1024 and one per 32 of these bytes.
        ping_interval: Between pings on a WebSocket from which nothing comes; ``math.inf`` for
            no pings.
        ping_timeout: For anything to come after a ping. Asked of browsers and of our own
            clients, which answer at any time; Go's client answers only while it receives.
        close_timeout: For the peer's answer to a close frame.
        linger: For a peer that still sends while its connection is being closed; cut off
            earlier, it might lose the answer that says why.

    Raises:
        ConfigError: A limit is not positive.
    """

    max_head: int = 64 * 1024
    max_headers: int = 128
    max_body: int = 4 * 1024 * 1024
    max_upload: int = 16 * 1024 * 1024 * 1024
    max_parts: int = 256
    max_part_head: int = 8 * 1024
    max_pipelined: int = 16
    max_streams: int = 250
    max_requests: int = 50_000
    stream_window: int = 256 * 1024
    connection_window: int = 1024 * 1024
    max_bodies: int = 32 * 1024 * 1024
    max_unsent: int = 16 * 1024 * 1024
    max_connections: int = 10_000
    handshake_timeout: float = 10.0
    first_timeout: float = 30.0
    head_timeout: float = 10.0
    idle_timeout: float = 75.0
    body_grace: float = 5.0
    min_body_rate: float = 240.0
    write_timeout: float = 30.0
    min_write_rate: float = 240.0
    keepalive: float = 15.0
    max_message: int = 4 * 1024 * 1024
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 2.0
    linger: float = 2.0

    def __post_init__(self) -> None:
        for each in fields(self):
            require_number(each.name, getattr(self, each.name), above=0)
