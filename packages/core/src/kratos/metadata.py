"""Metadata: pairs that travel with a call, and its two places in the running context.

A server keeps what came with a call in the *server* place; business code puts what its own
calls shall carry into the *client* place. The metadata middleware moves both to and from
the headers (Go: ``metadata/metadata.go``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Self

__all__ = [
    "Metadata",
    "MetadataScope",
    "append_to_client_context",
    "client_context",
    "client_metadata",
    "merge_to_client_context",
    "server_context",
    "server_metadata",
]


class Metadata:
    """Lower-case keys, each with a list of values in the order they were added.

    Every method takes a key in any case.

    Args:
        sources: Mappings whose keys and values are all added.
    """

    __slots__ = ("_values",)

    def __init__(self, *sources: Mapping[str, Iterable[str]] | Metadata) -> None:
        self._values: dict[str, list[str]] = {}
        for source in sources:
            for key, values in source.items():
                if isinstance(values, str):
                    raise TypeError(f"values of {key!r} must be a list of texts, not one text")
                self._values.setdefault(key.lower(), []).extend(values)

    def add(self, key: str, value: str) -> None:
        """Append a value, which may be empty; an empty key is ignored."""
        if key:
            self._values.setdefault(key.lower(), []).append(value)

    def set(self, key: str, value: str) -> None:
        """Put one value in place of all present ones; an empty key or value is ignored."""
        if key and value:
            self._values[key.lower()] = [value]

    def get(self, key: str, default: str = "") -> str:
        """Return the first value of a key."""
        values = self._values.get(key.lower())
        return values[0] if values else default

    def values(self, key: str) -> list[str]:
        """Return all values of a key in a list of their own."""
        return list(self._values.get(key.lower(), ()))

    def replace(self, other: Metadata) -> None:
        """Take over every key of ``other`` with its whole list."""
        for key, values in other._values.items():
            self._values[key] = list(values)

    def items(self) -> Iterator[tuple[str, list[str]]]:
        """Iterate over keys with their lists; do not change the lists."""
        return iter(self._values.items())

    def copy(self) -> Metadata:
        """Return a copy that shares no list with this one."""
        return Metadata(self)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metadata) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # Values may be credentials; a traceback or a log line must not carry them.
        return f"Metadata({', '.join(self._values)})"


# For the middleware, which spares itself the scope; all others use ``server_context``.
SERVER_METADATA: Final[ContextVar[Metadata | None]] = ContextVar(
    "kratos.server_metadata", default=None
)
_CLIENT: Final[ContextVar[Metadata | None]] = ContextVar("kratos.client_metadata", default=None)


class MetadataScope:
    """A change of the context that is in force already, and how to take it back.

    Use it in a ``with`` statement to limit the change to a block; without one the change
    lasts as long as the task. Leave it in the task that made it.
    """

    __slots__ = ("_place", "_token")

    def __init__(self, place: ContextVar[Metadata | None], metadata: Metadata | None) -> None:
        self._place = place
        self._token: Token[Metadata | None] = place.set(metadata)

    def reset(self) -> None:
        """Put back what was there before.

        Raises:
            RuntimeError: It was put back already.
            ValueError: This is another context than the one that was changed.
        """
        self._place.reset(self._token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.reset()


def server_metadata() -> Metadata | None:
    """Return what came with the call that is being served, ``None`` outside of one."""
    return SERVER_METADATA.get()


def client_metadata() -> Metadata | None:
    """Return what calls made from here carry, ``None`` if nothing was set."""
    return _CLIENT.get()


def server_context(metadata: Metadata | None) -> MetadataScope:
    """Make ``metadata`` that of the call being served."""
    return MetadataScope(SERVER_METADATA, metadata)


def client_context(metadata: Metadata | None) -> MetadataScope:
    """Make ``metadata`` that of all calls made from here."""
    return MetadataScope(_CLIENT, metadata)


def append_to_client_context(*pairs: str) -> MetadataScope:
    """Set keys of the client metadata, given as ``key, value, key, value``.

    The present metadata is copied first, so other tasks that share it see no change.

    Raises:
        ValueError: The last key has no value.
    """
    if len(pairs) % 2:
        raise ValueError(f"{len(pairs)} texts are no pairs: key {pairs[-1]!r} has no value")
    metadata = _client_copy()
    for index in range(0, len(pairs), 2):
        metadata.set(pairs[index], pairs[index + 1])
    return MetadataScope(_CLIENT, metadata)


def merge_to_client_context(metadata: Metadata) -> MetadataScope:
    """Replace every key of ``metadata`` in a copy of the client metadata."""
    merged = _client_copy()
    merged.replace(metadata)
    return MetadataScope(_CLIENT, merged)


def _client_copy() -> Metadata:
    present = _CLIENT.get()
    return Metadata() if present is None else present.copy()
