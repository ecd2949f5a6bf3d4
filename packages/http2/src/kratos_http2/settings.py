"""What a side announces, and what it bears."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from kratos_http2.errors import ErrorCode, Http2Error
from kratos_http2.frames import Setting

__all__ = ["Limits", "PeerSettings", "Settings"]

MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
MAX_FRAME = 2**24 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What we announce.

    Attributes:
        max_streams: That the peer may have open at once.
        stream_window: Bytes of one stream that may be unread.
        connection_window: Bytes of all streams that may be unread; at least 65,535.
        by_stream: Whether the connection's window is given back as DATA comes, and only that of a
            stream when it is ``consumed``. Then streams that nobody reads do not hold up others,
            and what may be unread is the window of a stream times their number, or ``max_unread``.
        max_unread: Bytes of all streams beyond which the connection's window is kept back after
            all; with ``by_stream`` only.
        max_frame_size: Bytes of a frame's payload; 16,384 to 16,777,215.
        max_header_list: Bytes of the fields of one header block, 32 added for each.
        header_table: Bytes of the table that the peer's header blocks may build.
        enable_connect: Whether extended CONNECT is understood (RFC 8441); servers only.
    """

    max_streams: int = 1000
    stream_window: int = 256 * 1024
    connection_window: int = 1024 * 1024
    by_stream: bool = False
    max_unread: int = 32 * 1024 * 1024
    max_frame_size: int = DEFAULT_FRAME
    max_header_list: int = 64 * 1024
    header_table: int = 4096
    enable_connect: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be announced.

        Raises:
            ValueError: A value is out of its range.
        """
        for name, least, most in (
            ("max_streams", 0, MAX_WINDOW),
            ("stream_window", 1, MAX_WINDOW),
            ("connection_window", DEFAULT_WINDOW, MAX_WINDOW),
            ("max_unread", 1, 2**63),
            ("max_frame_size", DEFAULT_FRAME, MAX_FRAME),
            ("max_header_list", 1, MAX_WINDOW),
            ("header_table", 0, MAX_WINDOW),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"Settings.{name} is {value}, and not {least} to {most}")

    def pairs(self, *, client: bool) -> list[tuple[int, int]]:
        """Return them as a SETTINGS frame has them."""
        found = [
            (Setting.INITIAL_WINDOW_SIZE, self.stream_window),
            (Setting.MAX_HEADER_LIST_SIZE, self.max_header_list),
        ]
        if client:
            found.append((Setting.ENABLE_PUSH, 0))
        else:
            found.append((Setting.MAX_CONCURRENT_STREAMS, self.max_streams))
        if self.max_frame_size != DEFAULT_FRAME:
            found.append((Setting.MAX_FRAME_SIZE, self.max_frame_size))
        if self.header_table != 4096:
            found.append((Setting.HEADER_TABLE_SIZE, self.header_table))
        if self.enable_connect and not client:
            found.append((Setting.ENABLE_CONNECT_PROTOCOL, 1))
        return [(int(name), value) for name, value in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a peer may do before its connection ends with ENHANCE_YOUR_CALM.

    Where one names a burst, ``per_second`` times as many are forgiven each second. How much of each
    was spent is counted in ``Connection.budgets``; which one ended a connection is told by
    ``Http2Error.limit``.

    Attributes:
        max_header_block: Compressed bytes of one header block.
        max_continuations: CONTINUATION frames of one header block.
        max_interim: Interim responses to one request; more end the stream alone.
        max_output: Bytes of control frames and header blocks that wait for a peer that does not
            read.
        resets: Burst of streams that the peer resets before they are answered; each that is
            answered forgives one.
        stream_errors: Burst of streams that have to be reset or refused because the peer is at
            fault.
        pings: Burst of PING frames beyond one for each output with DATA, and for each 16 KiB in
            it: peers measure by them how wide the way is, clients of Go without end.
        settings: Burst of SETTINGS frames.
        goaways: Burst of GOAWAY frames.
        empty_frames: Burst of DATA frames that hold nothing and end nothing.
        window_updates: Burst of WINDOW_UPDATE frames beyond those that our DATA, and requests, give
            reason to.
        priorities: Burst of PRIORITY frames.
        unknown: Burst of frames of types that are not known.
        per_second: What is forgiven of each burst, as a part of it.
    """

    max_header_block: int = 64 * 1024
    max_continuations: int = 32
    max_interim: int = 32
    max_output: int = 1024 * 1024
    resets: int = 10_000
    stream_errors: int = 1000
    pings: int = 100
    settings: int = 100
    goaways: int = 20
    empty_frames: int = 100
    window_updates: int = 1000
    priorities: int = 1000
    unknown: int = 1000
    per_second: float = 0.1

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: A value is negative.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            if not value >= 0:
                raise ValueError(f"Limits.{each.name} is {value}, and not 0 or more")


class PeerSettings:
    """What the peer announced; the protocol's defaults until then.

    Attributes are those of RFC 9113, 6.5.2.
    """

    __slots__ = (
        "enable_connect",
        "enable_push",
        "header_table_size",
        "initial_window",
        "max_frame_size",
        "max_header_list",
        "max_streams",
    )

    def __init__(self) -> None:
        self.header_table_size = 4096
        self.enable_push = 1
        self.max_streams = MAX_WINDOW
        self.initial_window = DEFAULT_WINDOW
        self.max_frame_size = DEFAULT_FRAME
        self.max_header_list = MAX_WINDOW
        self.enable_connect = 0

    def update(self, values: Mapping[int, int], *, from_server: bool) -> None:
        """Take what a SETTINGS frame says; what is not known is ignored.

        Raises:
            Http2Error: A value is out of its range.
        """
        for name, value in values.items():
            if name not in _RANGES:
                continue
            attribute, least, most, code = _RANGES[name]
            if not least <= value <= most:
                raise Http2Error(code, f"{Setting(name).name} is {value}")
            if from_server and name == Setting.ENABLE_PUSH and value:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "a server offers push")
            if name == Setting.ENABLE_CONNECT_PROTOCOL and value < self.enable_connect:
                raise Http2Error(ErrorCode.PROTOCOL_ERROR, "extended CONNECT is taken back")
            setattr(self, attribute, value)


_RANGES = {
    int(name): (attribute, least, most, code)
    for name, attribute, least, most, code in (
        (Setting.HEADER_TABLE_SIZE, "header_table_size", 0, 2**32, ErrorCode.PROTOCOL_ERROR),
        (Setting.ENABLE_PUSH, "enable_push", 0, 1, ErrorCode.PROTOCOL_ERROR),
        (Setting.MAX_CONCURRENT_STREAMS, "max_streams", 0, 2**32, ErrorCode.PROTOCOL_ERROR),
        (
            Setting.INITIAL_WINDOW_SIZE,
            "initial_window",
            0,
            MAX_WINDOW,
            ErrorCode.FLOW_CONTROL_ERROR,
        ),
        (
            Setting.MAX_FRAME_SIZE,
            "max_frame_size",
            DEFAULT_FRAME,
            MAX_FRAME,
            ErrorCode.PROTOCOL_ERROR,
        ),
        (Setting.MAX_HEADER_LIST_SIZE, "max_header_list", 0, 2**32, ErrorCode.PROTOCOL_ERROR),
        (Setting.ENABLE_CONNECT_PROTOCOL, "enable_connect", 0, 1, ErrorCode.PROTOCOL_ERROR),
    )
}
