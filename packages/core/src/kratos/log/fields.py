"""Fields that go with every record: of a logger, and of a context."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from kratos.log._interface import NO_FIELDS, Level, Logger
from kratos.log.valuer import Valuer

__all__ = ["Bound", "context_fields", "current_fields", "with_"]

_CONTEXT: Final[ContextVar[Mapping[str, object]]] = ContextVar("kratos_log_fields")


def with_(logger: Logger, /, **fields: object) -> Logger:
    """Return a logger whose records have these fields, too (Go: ``log.With``).

    Those of a record itself win, then those that were added last. A ``Valuer`` is computed for
    each record that is written.
    """
    if isinstance(logger, Bound):
        return Bound(logger.inner, {**logger.fields, **fields})
    return Bound(logger, fields)


class Bound:
    """A logger with fields of its own; see ``with_``.

    Attributes:
        inner: Where to.
        fields: What each record has.
    """

    __slots__ = ("_valuers", "fields", "inner")

    def __init__(self, inner: Logger, fields: Mapping[str, object]) -> None:
        self.inner: Final = inner
        self.fields: Final = fields
        self._valuers: Final = tuple(
            (key, value) for key, value in fields.items() if isinstance(value, Valuer)
        )

    def enabled(self, level: Level, /) -> bool:
        """Tell whether a record of this level is written."""
        asked = getattr(self.inner, "enabled", None)
        return asked is None or bool(asked(level))

    def log(self, level: Level, message: str, fields: Mapping[str, object] = NO_FIELDS, /) -> None:
        """Write one record."""
        if not self.enabled(level):
            return
        whole = {**self.fields, **fields}
        for key, valuer in self._valuers:
            if whole[key] is valuer:
                whole[key] = valuer()
        self.inner.log(level, message, whole)


@contextmanager
def context_fields(**fields: object) -> Generator[None]:
    """Add fields to every record that is written within, by whatever logger of Kratos.

        with context_fields(order=order.id):
            await ship(order)      # and what it calls, tasks and offloaded threads that it starts

    They belong to the context, so tasks beside this one do not have them. Inner ones win.
    """
    token = _CONTEXT.set({**current_fields(), **fields})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def current_fields() -> Mapping[str, object]:
    """Return the fields of the present context; for adapters of other back ends."""
    return _CONTEXT.get(NO_FIELDS)
