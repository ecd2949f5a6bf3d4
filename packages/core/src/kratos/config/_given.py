"""What a ``Config`` is made of, checked before anything is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import TypeAlias, cast

from kratos.config._interface import Source
from kratos.config._snapshot import Snapshot
from kratos.config.formats import Decoder
from kratos.errors import ConfigError

__all__ = ["Validator", "checked_decoders", "checked_validators", "named_sources"]

Validator: TypeAlias = Callable[[Snapshot], object]
"""Looks at a new configuration before anything acts on it, and refuses it by raising."""


def named_sources(sources: Sequence[Source], /) -> dict[str, Source]:
    """Return sources by their names, as they are in logs and in the file of the last good state.

    Raises:
        ConfigError: There is none, or one is no source.
    """
    if not sources:
        raise ConfigError("a Config needs a source, for instance FileSource('configs')")
    for at, source in enumerate(sources):
        if not callable(getattr(source, "watch", None)):
            raise ConfigError(f"sources[{at}]: {_no_source(source)}")
    return dict(zip(_names(sources), sources, strict=True))


def checked_decoders(given: object, /) -> Mapping[str, Decoder]:
    """Return decoders by the names of their formats.

    Raises:
        ConfigError: They are something else.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"decoders must be a mapping such as {{'ini': read_ini}}, not {type(given).__name__}"
        )
    decoders = cast("Mapping[str, Decoder]", given)
    for name, decode in cast("Mapping[object, object]", given).items():
        if not isinstance(name, str) or not callable(decode):
            raise ConfigError(
                f"decoders[{name!r}] must be a function from bytes to a tree, under a format's name"
            )
    return decoders


def checked_validators(given: object, /) -> tuple[Validator, ...]:
    """Return validators.

    Raises:
        ConfigError: They are something else.
    """
    if callable(given) or not isinstance(given, Sequence):
        raise ConfigError("validators must be a list of functions")
    for at, validate in enumerate(cast("Sequence[object]", given)):
        if not callable(validate) or iscoroutinefunction(validate):
            raise ConfigError(
                f"validators[{at}] must be a function that takes a Snapshot and is no async def"
            )
    return tuple(cast("Sequence[Validator]", given))


def _no_source(given: object) -> str:
    # It may be the configuration itself, secrets and all, and is not shown.
    if isinstance(given, str | os.PathLike):
        return "a path is no source; write FileSource(path)"
    if isinstance(given, Mapping):
        return "a mapping is no source; write MemorySource.of(mapping)"
    return f"an object of type {type(given).__name__} is no source: it has no watch()"


def _names(sources: Sequence[Source]) -> list[str]:
    """Name sources; equal names get numbers."""
    names: list[str] = []
    for source in sources:
        name = base = str(source)
        number = 2
        while name in names:
            name = f"{base} ({number})"
            number += 1
        names.append(name)
    return names
