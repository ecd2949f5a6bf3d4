"""What a supervisor and its workers tell each other, and how that looks on the channel.

A frame is its length as four bytes, big-endian, and a JSON object. After an upgrade both ends
may differ in version, so what one does not know it passes over, and new fields have defaults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeAlias, cast, get_args

from kratos.bus import Published
from kratos.errors import KratosError

__all__ = [
    "LARGEST",
    "Configure",
    "Configured",
    "Decoder",
    "Failed",
    "Finish",
    "Leaving",
    "Measure",
    "Measured",
    "Message",
    "Published",
    "Ready",
    "Report",
    "Settle",
    "Setup",
    "Stop",
    "encode",
]

_HEAD: Final = 4
LARGEST: Final = 16 * 1024 * 1024  # bytes of a frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Supervisor: who the worker is; the first frame.

    Attributes:
        slot: Its number, from 0.
        id: Id of the instance it is, or is a part of.
        registers: Whether it registers itself.
        path: Where modules are looked for.
        argv: Arguments of the program.
        sockets: File descriptors of listening sockets, by the index of the server.
        addresses: Addresses to share, by the index of the server.
        expected: Addresses that the servers had when the places were made, by index.
        revision: Of the configuration.
        config: What its sources say, see ``kratos.config``; empty if the supervisor has none.
        parts: Whether the supervisor puts parts of metrics together.
    """

    slot: int
    id: str
    registers: bool = False
    path: list[str] = field(default_factory=list[str])
    argv: list[str] = field(default_factory=list[str])
    sockets: dict[str, int] = field(default_factory=dict[str, int])
    addresses: dict[str, str] = field(default_factory=dict[str, str])
    expected: dict[str, str] = field(default_factory=dict[str, str])
    revision: int = 0
    config: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    parts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Supervisor: be no longer ready, and tell when hooks before the stop have run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Supervisor: stop accepting, finish what is in flight, end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Worker: the start is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Worker: its health.

    Attributes:
        ready: Whether calls shall come to it.
        failed: Texts of failed checks, by name.
    """

    ready: bool
    failed: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Worker: it is about to stop accepting; it waits for ``Finish``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Worker: why it ends.

    Attributes:
        reason: For operators.
        refused: Whether it could not start with what it was given.
    """

    reason: str
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """Supervisor: prepare for another configuration, and wait for ``Settle``.

    Attributes:
        number: Of the change, for the answers.
        revision: Of the configuration.
        at_once: Whether it is in force already: the worker puts it in force without waiting.
        config: What its sources say, see ``kratos.config``.
    """

    number: int
    revision: int
    at_once: bool = False
    config: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Supervisor: put in force what was prepared, or roll back.

    Attributes:
        number: Of the change.
        commit: Which of the two.
        reason: Why it is refused.
    """

    number: int
    commit: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """Worker: a change is prepared, or refused.

    Attributes:
        number: Of the change.
        problem: Why it is refused; empty if it is not.
    """

    number: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Supervisor: tell what you have counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Worker: what it has counted since its start.

    Attributes:
        families: A snapshot of its meter, as ``kratos.metrics.to_wire`` writes it, or a part of it.
        begins: Whether it is the first part.
        more: Whether further parts follow.
        failed: Whether it cannot tell; what it told before is then the last that is known.
    """

    families: list[Any] = field(default_factory=list[Any])
    begins: bool = True
    more: bool = False
    failed: bool = False


Message: TypeAlias = (
    Setup
    | Stop
    | Finish
    | Ready
    | Report
    | Leaving
    | Failed
    | Configure
    | Settle
    | Configured
    | Measure
    | Measured
    | Published
)

_KINDS: Final[Mapping[str, type[Message]]] = {kind.__name__: kind for kind in get_args(Message)}


# By the names in annotations, as in "list[str]".
_BUILT_IN: Final = {"bool": bool, "dict": dict, "int": int, "list": list, "str": str}
_TYPES: Final[Mapping[type[Message], Mapping[str, type]]] = {
    kind: {
        item.name: _BUILT_IN.get(str(item.type).partition("[")[0], object) for item in fields(kind)
    }
    for kind in get_args(Message)
}


def encode(message: Message, /) -> bytes:
    """Return the frame of a message."""
    values = {item.name: getattr(message, item.name) for item in fields(message)}
    body = json.dumps({"kind": type(message).__name__, **values}).encode()
    return len(body).to_bytes(_HEAD, "big") + body


class Decoder:
    """Takes bytes as they come and gives messages."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def wanted(self) -> int:
        """How many bytes the present frame lacks, as far as that is known: none is beyond it."""
        have = len(self._buffer)
        if have < _HEAD:
            return _HEAD - have
        return _HEAD + int.from_bytes(self._buffer[:_HEAD], "big") - have

    def feed(self, data: bytes, /) -> Iterator[Message]:
        """Return the messages that are complete now.

        Raises:
            KratosError: The bytes are no frames.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD:
            end = _HEAD + int.from_bytes(self._buffer[:_HEAD], "big")
            if end - _HEAD > LARGEST:
                raise KratosError(f"a frame of {end - _HEAD} bytes came from the other process")
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_HEAD:end])
            del self._buffer[:end]
            message = _decode(body)
            if message is not None:
                yield message


def _decode(body: bytes) -> Message | None:
    try:
        found: object = json.loads(body)
        if not isinstance(found, dict):
            raise TypeError(f"{found!r} is no object")
        values = cast("dict[str, Any]", found)
        kind = _KINDS.get(str(values.get("kind")))
        if kind is None:
            return None
        types = _TYPES[kind]
        for name in types.keys() & values.keys():
            if not isinstance(values[name], types[name]):
                raise TypeError(f"{name} is of another type")
        return kind(**{name: value for name, value in values.items() if name in types})
    except (RecursionError, TypeError, ValueError) as error:
        raise KratosError(f"no message, but {body[:100]!r}, came from the other process") from error
