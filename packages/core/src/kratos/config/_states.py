"""What all sources say, and how it is written down and told to other processes."""

from __future__ import annotations

import base64
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from kratos.config._interface import KeyValue

__all__ = ["Plain", "States", "from_plain", "handed", "handed_to", "to_plain"]

States: TypeAlias = Mapping[str, Sequence[KeyValue]]
"""The entries of each source, by its name, the weakest first."""

Plain: TypeAlias = dict[str, list[dict[str, str]]]
"""The same, of what JSON can carry."""


def to_plain(states: States, /) -> Plain:
    """Return what JSON can carry; values are in Base64, as they may be any bytes."""
    return {name: [_shown(entry) for entry in entries] for name, entries in states.items()}


def from_plain(plain: Mapping[str, Any], /) -> dict[str, tuple[KeyValue, ...]]:
    """Return what ``to_plain`` has made plain.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: It has not.
    """
    return {name: tuple(_entry(one) for one in entries) for name, entries in plain.items()}


@contextmanager
def handed(states: States, /) -> Generator[None]:
    """Let factories read what another process has in force, in place of sources of these names.

    What those say by then may be refused already, and must not keep a worker from starting.
    """
    _HANDED.append(states)
    try:
        yield
    finally:
        _HANDED.remove(states)


def handed_to(names: Sequence[str], /) -> States | None:
    """Return what was handed to whoever has sources of these names."""
    return next((states for states in _HANDED if [*states] == [*names]), None)


_HANDED: Final[list[States]] = []


def _shown(entry: KeyValue) -> dict[str, str]:
    value = base64.b64encode(entry.value).decode()
    return {"key": entry.key, "format": entry.format, "value": value}


def _entry(shown: Mapping[str, str]) -> KeyValue:
    value = base64.b64decode(shown["value"], validate=True)
    return KeyValue(key=shown["key"], format=shown["format"], value=value)
