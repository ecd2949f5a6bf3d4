"""From a part of the configuration to a typed value: dataclass, protobuf message, pydantic model.

Texts are read as what the type asks for, since environment variables and placeholders are texts:
``8000`` as a number, ``true`` as a boolean, ``1m30s`` as a duration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from kratos.config._dotted import nearest
from kratos.config._snapshot import Snapshot
from kratos.config.scan._place import Place
from kratos.errors import ConfigError

__all__ = ["require_kind", "scan"]

T = TypeVar("T")


def scan(
    snapshot: Snapshot,
    kind: type[T],
    *,
    key: str = "",
    strict: bool = False,
    origin: Callable[[str], str] | None = None,
    sources: Sequence[str] = (),
) -> T:
    """Return the part of a snapshot under a key as a ``kind``.

    Args:
        snapshot: The configuration.
        kind: A dataclass, a protobuf message or a pydantic model.
        key: Dotted key; empty for all of it.
        strict: Refuse keys that ``kind`` does not know; else they are passed over.
        origin: Tells which document a key comes from, for errors.
        sources: Names of what a missing key was looked for in, for errors.

    Raises:
        ConfigError: A value is missing or does not fit; it says which, and what is expected.
        TypeError: ``kind`` is none of the three, or has a field of a type that cannot be read.
    """
    tree = snapshot.section(key).tree if key else snapshot.tree
    place = Place(key=key, origin=origin or _nowhere, strict=strict, sources=sources)
    try:
        return _read(kind, tree, place)
    except ConfigError as error:
        hint = nearest(snapshot.tree, key) if key and key not in snapshot else ""
        if not hint:
            raise
        raise ConfigError(f"{error}; there is no {key!r}{hint}") from error


def _read(kind: type[T], tree: Mapping[str, object], place: Place) -> T:
    if dataclasses.is_dataclass(kind):
        from kratos.config.scan._dataclass import read_dataclass

        return cast("T", read_dataclass(kind, tree, place))
    if hasattr(kind, "model_validate"):
        from kratos.config.scan._model import read_model

        return cast("T", read_model(cast("Any", kind), tree, place))
    if hasattr(kind, "DESCRIPTOR"):
        from kratos.config.scan._message import read_message

        return cast("T", read_message(cast("Any", kind), tree, place))
    raise TypeError(f"{kind!r} is no dataclass, no protobuf message and no pydantic model")


def require_kind(option: str, kind: object) -> None:
    """Refuse what is neither ``None`` nor something that ``scan`` returns.

    Raises:
        ConfigError: It is neither.
    """
    readable = dataclasses.is_dataclass(kind) or any(
        hasattr(kind, name) for name in ("model_validate", "DESCRIPTOR")
    )
    if kind is not None and not (isinstance(kind, type) and readable):
        raise ConfigError(
            f"{option} is a dataclass, a protobuf message, a pydantic model or None, not {kind!r}"
        )


def _nowhere(_key: str) -> str:
    return ""
