"""Records that are dropped, and values that are hidden (Go: ``log.NewFilter``)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeAlias, cast

from kratos.log._interface import NO_FIELDS, Level, Logger, require_level

__all__ = ["Filter"]

_HIDDEN: Final = "***"

Drop: TypeAlias = Callable[[Level, str, Mapping[str, object]], bool]


class Filter:
    """A logger that passes on what it lets through.

    Args:
        logger: Where to.
        level: Records below it are dropped.
        keys: Values under them become ``***``: names of fields at any depth, or dotted paths
            such as ``user.password``, which pass through lists.
        values: Texts that become ``***`` wherever they are the whole value.
        drop: True drops a record; it sees what is left after the hiding.

    Raises:
        TypeError: ``keys`` or ``values`` is one text, or ``level`` no level.
    """

    __slots__ = ("_asked", "_drop", "_keys", "_level", "_logger", "_values")

    def __init__(
        self,
        logger: Logger,
        *,
        level: Level = Level.DEBUG,
        keys: Collection[str] = (),
        values: Collection[str] = (),
        drop: Drop | None = None,
    ) -> None:
        if isinstance(keys, str) or isinstance(values, str):
            raise TypeError("keys and values must be lists of texts, not one text")
        self._logger: Final = logger
        self._level: Final = require_level(level)
        self._keys: Final = frozenset(keys)
        self._values: Final = frozenset(values)
        self._drop: Final = drop
        self._asked: Callable[[Level], bool] | None = getattr(logger, "enabled", None)

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is passed on."""
        return level >= self._level and (self._asked is None or self._asked(level))

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Pass on one record, or not."""
        if not self.enabled(level):
            return
        if fields and (self._keys or self._values):
            fields = {key: self._shown(key, key, value) for key, value in fields.items()}
        if self._drop is not None and self._drop(level, message, fields):
            return
        self._logger.log(level, message, fields)

    def _shown(self, name: str, path: str, value: object) -> object:
        if name in self._keys or path in self._keys:
            return _HIDDEN
        if isinstance(value, Mapping):
            parts = cast("Mapping[object, object]", value)
            return {
                key: self._shown(str(key), f"{path}.{key}", part) for key, part in parts.items()
            }
        if isinstance(value, list | tuple):
            return [self._shown("", path, part) for part in cast("Sequence[object]", value)]
        return _HIDDEN if isinstance(value, str) and value in self._values else value
