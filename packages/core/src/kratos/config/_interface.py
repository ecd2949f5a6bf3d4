"""What a configuration source supplies, and what follows changes (Go: config.Source)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kratos.config._snapshot import Snapshot
from kratos.watch import Watcher

__all__ = ["KeyValue", "Observer", "Participant", "Prepared", "Source", "format_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """One document or one entry of a source.

    Attributes:
        key: File name, environment variable or path in the back end.
        value: Its content as it was found; left out of ``repr``, as it may be a secret.
        format: Name of the codec that reads it, for example ``yaml``. Empty: the key is a
            dotted path and the value its text.
    """

    key: str
    value: bytes = field(repr=False)
    format: str = ""


def format_of(key: str, /) -> str:
    """Return the format that a key's ending names, as Go Kratos does; empty if there is none.

    The ending is what follows the last dot behind the last slash.
    """
    name = key.rpartition("/")[2]
    return name.rpartition(".")[2] if "." in name else ""


class Source(Protocol):
    """A place that configuration comes from. ``str()`` of it should name it, without secrets."""

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Open a watcher of everything that this source holds, in its order.

        Raises:
            ConfigError: What the source was told to read cannot be read.
            ConnectionError: The back end did not answer.

        Cancellation: leaves nothing open.
        """
        ...


class Observer(Protocol):
    """Follows changes that it cannot refuse."""

    def __call__(self, old: Snapshot, new: Snapshot, /) -> None:
        """Act on a change that is in force; must not block, and what it raises is logged.

        It may watch, stop watching, join and leave meanwhile: that counts from then on.
        """
        ...


class Prepared(Protocol):
    """One participant's part of a change, ready to be put in force."""

    def commit(self) -> None:
        """Put it in force; must not block and must not fail."""
        ...

    async def rollback(self) -> None:
        """Release what ``prepare`` made: somebody else refused the change."""
        ...


class Participant(Protocol):
    """Takes part in a change: either all participants commit, or none does."""

    async def prepare(self, old: Snapshot, new: Snapshot, /) -> Prepared:
        """Make ready for ``new``, for instance open what it names, without using it yet.

        Raises:
            ConfigError: ``new`` is refused; the old snapshot stays in force everywhere.

        Cancellation: releases what was made so far.
        """
        ...
