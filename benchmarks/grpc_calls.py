"""The calls of the benchmark of gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.bench_pb2 import HelloReply

__all__ = ["COUNT", "COUNTED", "HELLO", "check_count", "check_greeting"]

HELLO: Final = "/bench.Bench/Hello"
COUNT: Final = "/bench.Counter/Count"
COUNTED: Final = 1000  # messages of one stream


def check_greeting(reply: HelloReply) -> None:
    """Read a reply, as whoever asked would.

    Raises:
        ValueError: It is another one.
    """
    if reply.message != "Hello kratos":
        raise ValueError(f"answered with {reply.message!r}")


def check_count(replies: int) -> None:
    """Refuse a stream that was cut off.

    Raises:
        ValueError: It was.
    """
    if replies != COUNTED:
        raise ValueError(f"a stream had {replies} replies, not {COUNTED}")
