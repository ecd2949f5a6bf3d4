"""What servers accept from their peers, and clients from theirs, in size and in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias, cast

from kratos.errors import ConfigError
from kratos.options import require_number
from kratos.transport.chain import listed

__all__ = ["ClientLimits", "Options", "ServerLimits", "pairs"]

Options: TypeAlias = "Sequence[tuple[str, str | int]]"
"""Channel arguments of gRPC's core, by name; they come after ours, and so win."""

_MEBIBYTE: Final = 1024 * 1024
_PAIR: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Limits of a server. Times are in seconds; ``None`` stands for no limit.

    Attributes:
        max_receive: Bytes of one request message; larger ones end their call with
            RESOURCE_EXHAUSTED before they are read whole.
        max_send: Bytes of one reply message; a larger one ends its call with RESOURCE_EXHAUSTED,
            and is logged.
        max_headers: Bytes of the headers of one call; before a client has acknowledged the
            server's settings, gRPC takes up to 16 MiB.
        max_calls: Calls in flight on one connection; clients hold back what is beyond. On our own
            engine, all connections together have 50,000, or as many as one if that is more: a
            connection that has more than its equal part of them is refused further ones.
        min_ping_interval: Between two pings of a client; clients that ping more often are cut
            off. gRPC's own default of 300 cuts off clients of Go that keep alive. These ping every
            10 at most, but a ping that is late comes sooner before the next: hence the half.
        max_connection_age: After which a connection takes no more calls, so that clients spread
            over servers that were added; gRPC varies it by a tenth each way.
        max_connection_age_grace: For the calls of such a connection; those that are left then are
            cut off: UNAVAILABLE, to our clients 503 ``CONNECTION_AGED``.
        max_connection_idle: After which a connection without calls is closed.

    Raises:
        ConfigError: A limit is not positive.
    """

    max_receive: int = 4 * _MEBIBYTE
    max_send: int | None = None
    max_headers: int = 64 * 1024
    max_calls: int | None = 10_000
    min_ping_interval: float = 5.0
    max_connection_age: float | None = None
    max_connection_age_grace: float | None = None
    max_connection_idle: float | None = None

    def __post_init__(self) -> None:
        _require_positive(self)

    def options(self) -> list[tuple[str, str | int]]:
        """Return the limits as channel arguments."""
        options: list[tuple[str, str | int]] = [
            ("grpc.max_receive_message_length", self.max_receive),
            ("grpc.max_metadata_size", self.max_headers),
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(self.min_ping_interval)),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        if self.max_calls is not None:
            options.append(("grpc.max_concurrent_streams", self.max_calls))
        for name, seconds in (
            ("grpc.max_connection_age_ms", self.max_connection_age),
            ("grpc.max_connection_age_grace_ms", self.max_connection_age_grace),
            ("grpc.max_connection_idle_ms", self.max_connection_idle),
        ):
            if seconds is not None:
                options.append((name, _ms(seconds)))
        return options


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Limits of a client's connections. Times are in seconds.

    Attributes:
        max_receive: Bytes of one reply message; larger ones end their call with RESOURCE_EXHAUSTED,
            as do the requests beyond ``max_send``: 429 ``MESSAGE_TOO_LARGE``.
        max_send: Bytes of one request message; ``None`` for no limit.
        max_headers: Bytes of the headers of one reply.
        connect_timeout: For one attempt to connect, TLS included.
        max_backoff: Between two attempts.
        keepalive: Without news from the server, while calls are in flight, after which it is
            pinged; ``None`` for never. Servers of Go cut off clients that do so more often
            than every 300 seconds, unless they are told otherwise.
        keepalive_timeout: For the answer to a ping, before the connection counts as lost.

    Raises:
        ConfigError: A limit is not positive.
    """

    max_receive: int = 4 * _MEBIBYTE
    max_send: int | None = None
    max_headers: int = 64 * 1024
    connect_timeout: float = 5.0
    max_backoff: float = 5.0
    keepalive: float | None = 310.0
    keepalive_timeout: float = 20.0

    def __post_init__(self) -> None:
        _require_positive(self)

    def options(self) -> list[tuple[str, str | int]]:
        """Return the limits as channel arguments."""
        options: list[tuple[str, str | int]] = [
            ("grpc.max_receive_message_length", self.max_receive),
            ("grpc.max_metadata_size", self.max_headers),
            ("grpc.min_reconnect_backoff_ms", _ms(self.connect_timeout)),
            ("grpc.initial_reconnect_backoff_ms", _ms(min(0.5, self.max_backoff))),
            ("grpc.max_reconnect_backoff_ms", _ms(self.max_backoff)),
        ]
        if self.max_send is not None:
            options.append(("grpc.max_send_message_length", self.max_send))
        if self.keepalive is not None:
            options += [
                ("grpc.keepalive_time_ms", _ms(self.keepalive)),
                ("grpc.keepalive_timeout_ms", _ms(self.keepalive_timeout)),
                ("grpc.http2.max_pings_without_data", 0),
            ]
        return options


def pairs(options: Options) -> tuple[tuple[str, str | int], ...]:
    """Return channel arguments.

    Raises:
        ConfigError: They are no list of pairs.
    """
    given: tuple[Any, ...] = listed(options, option="options")
    if any(_size(each) != _PAIR for each in given):
        raise ConfigError(f"options must be a list of pairs, name and value, not {options!r}")
    return given


def _size(pair: object) -> int:
    return len(cast("tuple[object, ...]", pair)) if isinstance(pair, tuple) else 0


def _require_positive(limits: ServerLimits | ClientLimits) -> None:
    for each in fields(limits):
        optional = "None" in str(each.type)
        require_number(each.name, getattr(limits, each.name), above=0, optional=optional)


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
