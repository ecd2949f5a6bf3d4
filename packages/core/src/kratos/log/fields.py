"""Fields that go with every record: of a logger, and of a context."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

from kratos.log._interface import NO_FIELDS, Level, Logger, Threshold, threshold_of
from kratos.log.valuer import Valuer

__all__ = ["Bound", "context_fields", "current_fields", "extract", "with_"]

Extractor: TypeAlias = Callable[[], Mapping[str, object]]

_CONTEXT: Final[ContextVar[Mapping[str, object]]] = ContextVar("kratos_log_fields")


def with_(logger: Logger, /, **fields: object) -> Logger:
    """Return a logger whose records have these fields, too (Go: ``log.With``).

    Those of a record itself win, then those that were added last. A ``Valuer`` is computed for
    each record that is written, and one that gives ``None`` adds nothing.
    """
    if isinstance(logger, Bound):
        return Bound(logger.inner, {**logger.fields, **fields})
    return Bound(logger, fields)


class Bound:
    """A logger with fields of its own; see ``with_``.

    Attributes:
        inner: Where to.
        fields: What each record has.
        threshold: Records below it are not written.
    """

    __slots__ = ("_asked", "_valuers", "fields", "inner", "threshold")

    def __init__(self, inner: Logger, fields: Mapping[str, object]) -> None:
        self.inner: Final = inner
        self.fields: Final = fields
        self.threshold: Final = threshold_of(inner) or Threshold()
        self._asked: Final[Callable[[Level], bool] | None] = getattr(inner, "enabled", None)
        self._valuers: Final = tuple(
            (key, value) for key, value in fields.items() if isinstance(value, Valuer)
        )

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        return self._asked is None or self._asked(level)

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        if self.enabled(level):
            self.inner.log(level, message, self.whole(fields))

    def whole(self, fields: Mapping[str, object], /) -> dict[str, object]:
        """Return the fields of a record with those of this logger."""
        whole = {**self.fields, **fields}
        for key, valuer in self._valuers:
            if whole[key] is valuer:
                value = valuer()
                if value is None:
                    del whole[key]
                else:
                    whole[key] = value
        return whole


@contextmanager
def context_fields(**fields: object) -> Generator[None]:
    """Add fields to every record that is written within, by whatever logger of Kratos.

        with context_fields(order=order.id):
            await ship(order)      # and what it calls, tasks and offloaded threads that it starts

    They belong to the context, so tasks beside this one do not have them. Inner ones win.
    """
    token = _CONTEXT.set({**_CONTEXT.get(NO_FIELDS), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def current_fields() -> Mapping[str, object]:
    """Return the fields of the present context; for adapters of other back ends."""
    fields = _CONTEXT.get(NO_FIELDS)
    for extractor in _extractors:
        try:
            fields = {**extractor(), **fields}
        except Exception as error:
            fields = {"extractor": error, **fields}
    return fields


def extract(extractor: Extractor, /) -> Callable[[], None]:
    """Add to every record of this process what a function finds in its context.

    That is the way of ids of traces into the log: each logger has them, whoever writes (Go:
    ``log.WithExtractor``). Fields of ``context_fields`` and of records win.

    Args:
        extractor: Called for each record that is written; quick, and empty where there is nothing.
            What it raises is a field of the record.

    Returns:
        The way back; calling it again does nothing.
    """
    global _extractors
    _extractors = (*_extractors, extractor)

    def undo() -> None:
        global _extractors
        _extractors = tuple(each for each in _extractors if each is not extractor)

    return undo


_extractors: tuple[Extractor, ...] = ()
