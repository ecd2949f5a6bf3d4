"""One immutable state of the whole configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast, overload

from kratos.config._dotted import MISSING, find, nearest
from kratos.duration import parse_duration
from kratos.errors import ConfigError

__all__ = ["CONVERTERS", "Snapshot", "noun_of", "same"]

T = TypeVar("T", bool, int, float, str)

_LEAVES: Final = frozenset({bool, float, int, str, type(None)})  # most of what there is
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,100}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class Snapshot:
    """A tree of values under dotted keys; it never changes.

    Mappings inside are read-only and lists are tuples. Two snapshots are equal when their trees
    are, and ``1``, ``1.0`` and ``True`` are three different values.

    Args:
        tree: Nested mappings with text keys; copied.
        revision: Which state of the configuration this is, counted from 0.
    """

    __slots__ = ("_revision", "_tree")

    def __init__(self, tree: Mapping[str, object] | None = None, *, revision: int = 0) -> None:
        self._tree = _frozen_mapping({} if tree is None else tree)
        self._revision = revision

    @property
    def tree(self) -> Mapping[str, object]:
        """The whole tree, read-only."""
        return self._tree

    @property
    def revision(self) -> int:
        """Which state of the configuration this is."""
        return self._revision

    @overload
    def get(self, key: str, kind: type[T], /) -> T: ...

    @overload
    def get(self, key: str, kind: type[T], /, *, default: T) -> T: ...

    def get(self, key: str, kind: type[T], /, *, default: T = MISSING) -> T:
        """Return the value under a dotted key as ``bool``, ``int``, ``float`` or ``str``.

        Sources without types hold text, so text is read: ``8000`` and ``1e3`` as numbers,
        ``true``, ``t``, ``1`` and their like as booleans. Nothing is rounded on the way.

        Args:
            key: Path through the tree, for example ``server.http.port``.
            kind: One of the four types.
            default: For a key that is missing or null.

        Raises:
            ConfigError: There is no such key and no default, or the value is of another kind.
                The message holds the key, never the value, as it may be a secret.
        """
        value = self._find(key)
        if value is MISSING or value is None:
            if default is not MISSING:
                return default
            raise ConfigError(
                f"configuration has no value for {key!r}; it needs {_noun(kind)}"
                f"{nearest(self._tree, key)}"
            )
        converted = CONVERTERS[kind](value)
        if converted is None:
            raise ConfigError(_mismatch(key, _noun(kind), value))
        return cast("T", converted)

    def duration(self, key: str, /, *, default: float = MISSING) -> float:
        """Return the seconds under a dotted key, from a number or text such as ``1m30s``.

        Raises:
            ConfigError: There is no such key and no default, or the value is no duration.
        """
        value = self._find(key)
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            try:
                return parse_duration(value)
            except ValueError:
                raise ConfigError(
                    f"configuration value {key!r} must be a duration such as 1m30s, "
                    "or a number of seconds"
                ) from None
        return self.get(key, float, default=default)

    def section(self, key: str, /) -> Snapshot:
        """Return the part of the tree under a dotted key; empty if there is nothing.

        Raises:
            ConfigError: There is a value that has no keys of its own.
        """
        value = self._find(key)
        if value is MISSING or value is None:
            return Snapshot(revision=self._revision)
        if not isinstance(value, Mapping):
            raise ConfigError(_mismatch(key, "a mapping", value))
        return Snapshot(cast("Mapping[str, object]", value), revision=self._revision)

    def __getitem__(self, key: str, /) -> object:
        value = self._find(key)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not MISSING

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and same(self._tree, other._tree)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Snapshot revision={self._revision} keys={sorted(self._tree)}>"

    def _find(self, key: str) -> Any:
        return find(self._tree, key)


def _frozen_mapping(tree: Mapping[Any, object]) -> Mapping[str, object]:
    return MappingProxyType({str(key): _frozen(value) for key, value in tree.items()})


def _frozen(value: object) -> object:
    if type(value) in _LEAVES:
        return value
    if isinstance(value, Mapping):
        return _frozen_mapping(cast("Mapping[Any, object]", value))
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in cast("Sequence[object]", value))
    return value


def same(left: object, right: object) -> bool:
    """Tell whether two frozen values are equal, where ``1``, ``1.0`` and ``True`` are not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        here = cast("Mapping[str, object]", left)
        there = cast("Mapping[str, object]", right)
        return here.keys() == there.keys() and all(same(here[k], there[k]) for k in here)
    if isinstance(left, tuple) and isinstance(right, tuple):
        ours, theirs = cast("tuple[object, ...]", left), cast("tuple[object, ...]", right)
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return left == right


def _boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _BOOLEANS.get(str(value))
    return _BOOLEANS.get(value) if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return None


def _float(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else None


CONVERTERS: Final[Mapping[type, Callable[[object], object]]] = {
    bool: _boolean,
    int: _integer,
    float: _float,
    str: _text,
}


def _noun(kind: type) -> str:
    return {bool: "a boolean", int: "a whole number", float: "a number", str: "a text"}[kind]


def _mismatch(key: str, noun: str, value: object) -> str:
    # Texts may be secrets, so only the type is told.
    return f"configuration value {key!r} must be {noun}; this {noun_of(value)} is not"


def noun_of(value: object) -> str:
    """Return what a value is called in errors."""
    if isinstance(value, Mapping):
        return "mapping"
    if isinstance(value, list | tuple):
        return "list"
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"
