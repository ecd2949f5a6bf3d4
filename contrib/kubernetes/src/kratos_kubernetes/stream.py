"""An open watch: events, one line of JSON each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from kratos.errors import Error
from kratos.transport import Incoming
from kratos_kubernetes.failure import KubernetesUnavailable

__all__ = ["ADDED", "BOOKMARK", "DELETED", "MODIFIED", "Event", "Watch"]

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"
BOOKMARK: Final = "BOOKMARK"
_ERROR: Final = "ERROR"

_LONGEST: Final = 64 << 20  # bytes of a line; etcd takes objects of a few MiB


@dataclass(frozen=True, slots=True)
class Event:
    """What happened.

    Attributes:
        kind: ``ADDED``, ``MODIFIED``, ``DELETED``, or ``BOOKMARK`` if nothing did.
        object: The object as it is, or was, then; of a bookmark its version alone.
    """

    kind: str
    object: Mapping[str, Any]


class Watch:
    """A watch; one reader at a time.

    Args:
        opening: What was entered for it.
        pieces: What comes.
        telling: Makes a ``KubernetesUnavailable`` of what the transport raises.
        silence: Seconds for anything to come.
    """

    def __init__(
        self,
        opening: AbstractAsyncContextManager[Incoming[bytes]],
        pieces: Incoming[bytes],
        *,
        telling: Callable[[], AbstractAsyncContextManager[None]],
        silence: float,
    ) -> None:
        self._opening = opening
        self._pieces = pieces
        self._telling = telling
        self._silence = silence
        self._begun: list[bytes] = []  # of a line
        self._length = 0  # of that
        self._lines: list[bytes] = []  # the next one last

    async def next(self) -> Event | None:
        """Return what happened next.

        Returns:
            ``None`` if the server ended the watch, or fell silent: open another one.

        Raises:
            KubernetesUnavailable: It broke off, or the server could not go on; with ``code`` 410
                if it has forgotten what happened.

        Cancellation: safe; what has come is kept.
        """
        while not self._lines:
            piece = await self._piece()
            if piece is None:
                return None
            *whole, rest = piece.split(b"\n")
            if whole:
                whole[0] = b"".join((*self._begun, whole[0]))
                self._begun, self._length = [], 0
                self._lines = [line for line in reversed(whole) if line]
            self._begun.append(rest)
            self._length += len(rest)
            if self._length > _LONGEST:
                raise KubernetesUnavailable(f"an event exceeds {_LONGEST} bytes")
        async with self._telling():
            return _event(self._lines.pop())

    async def aclose(self) -> None:
        """End it; idempotent."""
        await self._opening.__aexit__(None, None, None)

    async def _piece(self) -> bytes | None:
        async with self._telling():
            limit = asyncio.timeout(self._silence)
            try:
                async with limit:
                    return await anext(self._pieces)
            except StopAsyncIteration:
                return None
            except TimeoutError:
                if limit.expired():
                    return None
                raise


def _event(line: bytes) -> Event:
    try:
        members: Any = json.loads(line)
        kind, found = members["type"], members["object"]
        if kind == _ERROR:
            code, reason, told = found.get("code"), found.get("reason"), found.get("message")
            raise Error(int(code or 500), str(reason or ""), str(told or ""))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise KubernetesUnavailable(f"no event of a watch: {line[:200]!r}") from error
    return Event(kind, found)
