"""Records that are dropped, and values that are hidden (Go: ``log.NewFilter``)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, TypeAlias, cast

from kratos.log._interface import NO_FIELDS, Level, Logger, Threshold, threshold_of
from kratos.log._text import text_of
from kratos.log.fields import Bound, current_fields

__all__ = ["Filter"]

_HIDDEN: Final = "***"
_DEEPEST: Final = 32  # what is further down, or goes round in circles, is hidden as a whole

Drop: TypeAlias = Callable[[Level, str, Mapping[str, object]], bool]


class Filter:
    """A logger that passes on what it lets through.

    It looks at all fields: those of the record, of the context, and of the logger that it is for.

    Args:
        logger: Where to.
        level: Records below it are dropped.
        keys: Values under them become ``***``: names of fields at any depth, or dotted paths
            such as ``user.password``, which pass through lists.
        values: Texts that become ``***`` wherever they are the whole value.
        secrets: Whether values become ``***``, too, under keys that are likely to be those of
            secrets, such as ``db_password`` and ``X-Auth-Token``; see ``kratos.redact``.
        drop: True drops a record; it sees what is left after the hiding.

    Attributes:
        inner: Where to.
        threshold: Records below it are not passed on.

    Raises:
        TypeError: ``keys`` or ``values`` is one text, or ``level`` no level.
    """

    __slots__ = (
        "_asked",
        "_bound",
        "_drop",
        "_floor",
        "_hides",
        "_keys",
        "_secrets",
        "_to",
        "_values",
        "inner",
        "threshold",
    )

    def __init__(
        self,
        logger: Logger,
        *,
        level: Level = Level.DEBUG,
        keys: Collection[str] = (),
        values: Collection[str] = (),
        secrets: bool = False,
        drop: Drop | None = None,
    ) -> None:
        if isinstance(keys, str) or isinstance(values, str):
            raise TypeError("keys and values must be lists of texts, not one text")
        self.inner: Final = logger
        own = Threshold(level)
        self._floor: Final = own.floor
        passes_all = own.floor <= Level.DEBUG
        self.threshold: Final = (threshold_of(logger) if passes_all else None) or own
        self._secrets: Final = _secret_keys() if secrets else None
        # What a logger adds to records would not come by here.
        self._bound: Final = logger if isinstance(logger, Bound) else None
        self._to: Final = logger.inner if isinstance(logger, Bound) else logger
        self._keys: Final = frozenset(keys)
        self._values: Final = frozenset(values)
        self._drop: Final = drop
        self._hides: Final = bool(self._keys or self._values or secrets)
        self._asked: Callable[[Level], bool] | None = getattr(logger, "enabled", None)

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is passed on."""
        return level >= self._floor and (self._asked is None or self._asked(level))

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Pass on one record, or not."""
        if not self.enabled(level):
            return
        if self._bound is not None:
            fields = self._bound.whole(fields)
        if self._hides or self._drop is not None:
            # Those of the context, which whatever is behind would add unseen.
            context = current_fields()
            if context:
                fields = {**context, **fields}
        if fields and self._hides:
            fields = {
                key: self._shown(text, text, value, _DEEPEST)
                for key, text, value in [(key, text_of(key), fields[key]) for key in fields]
            }
        if self._drop is not None and self._dropped(level, message, fields):
            return
        self._to.log(level, message, fields)

    def _dropped(self, level: Level, message: str, fields: Mapping[str, object]) -> bool:
        assert self._drop is not None
        try:
            return self._drop(level, message, fields)
        except Exception:
            return False  # a record too many is better than a failed call

    def _shown(self, name: str, path: str, value: object, depth: int) -> object:
        if name in self._keys or path in self._keys:
            return _HIDDEN
        if self._secrets is not None and self._secrets(name):
            return _HIDDEN
        if isinstance(value, Mapping):
            if not depth:
                return _HIDDEN
            parts = cast("Mapping[object, object]", value)
            named = [(key, text_of(key), part) for key, part in parts.items()]
            return {
                key: self._shown(text, f"{path}.{text}", part, depth - 1)
                for key, text, part in named
            }
        if isinstance(value, list | tuple):
            if not depth:
                return _HIDDEN
            items = cast("Sequence[object]", value)
            return [self._shown("", path, item, depth - 1) for item in items]
        return _HIDDEN if isinstance(value, str) and value in self._values else value


@cache
def _secret_keys() -> Callable[[str], bool]:
    from kratos.redact import is_secret  # which brings the configuration along

    # Names of fields are few; those that strangers choose must not fill the memory.
    return lru_cache(maxsize=1024)(is_secret)
