"""The load that the program in Go makes: of gRPC, of REST and of the Connect protocol."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from benchmarks.cores import take_first_core
from benchmarks.go_program import program
from benchmarks.grpc_calls import COUNTED

__all__ = ["IN_FLIGHT", "GoKind", "by_go", "go_command", "one_long_stream"]

GoKind: TypeAlias = Literal[
    "unary", "unary-deadline", "stream", "rest-h1", "rest-h2", "connect-json"
]

IN_FLIGHT: Final = 32


def by_go(
    kind: GoKind,
    *,
    in_flight: int = IN_FLIGHT,
    connections: int = 1,
) -> Callable[[str, float], int]:
    """Return what asks for some seconds, and returns how many answers came.

    Of a stream all messages count.

    Args:
        kind: What is asked for.
        in_flight: How much at once, over all connections.
        connections: How many.
    """

    def drive(address: str, seconds: float) -> int:
        command = go_command(kind, address, seconds, in_flight=in_flight, connections=connections)
        return _run(command) * (COUNTED if kind == "stream" else 1)

    return drive


def one_long_stream(address: str, messages: int) -> int:
    """Read one stream of so many messages, and return how many came."""
    command = go_command("stream", address, 0, in_flight=1, messages=messages, askings=1)
    return _run(command) * messages


def go_command(
    kind: GoKind,
    address: str,
    seconds: float,
    *,
    in_flight: int = IN_FLIGHT,
    connections: int = 1,
    messages: int = COUNTED,
    askings: int = 0,
) -> list[str]:
    """Return a command that prints how often it asked, and its seconds of CPU, as JSON.

    The first time, the program in Go is compiled, which takes a minute or two.

    Args:
        kind: What is asked for.
        address: Of the server.
        seconds: For how long.
        in_flight: How much at once, over all connections.
        connections: How many.
        messages: Of each stream.
        askings: How often at most, whatever the seconds; 0 is no bound.
    """
    return [
        str(program()),
        "load",
        f"-kind={kind}",
        f"-in-flight={in_flight}",
        f"-connections={connections}",
        f"-seconds={seconds}",
        f"-messages={messages}",
        f"-askings={askings}",
        address,
    ]


def _run(command: list[str]) -> int:
    done = subprocess.run(
        command,
        env={**os.environ, "GOMAXPROCS": "1"},
        stdout=subprocess.PIPE,
        preexec_fn=take_first_core,
        check=True,
    )
    askings: int = json.loads(done.stdout)[0]
    return askings
