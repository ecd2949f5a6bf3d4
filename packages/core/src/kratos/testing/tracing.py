"""A tracer that keeps its spans, for tests of services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from kratos.tracing import (
    W3C,
    Attributes,
    AttributeValue,
    Propagator,
    SpanContext,
    parent_of,
)
from kratos.transport import Header, Side

__all__ = ["MemorySpan", "MemoryTracer"]

_SAMPLED: Final = 1


class MemorySpan:
    """A span that was begun.

    Attributes:
        name: The operation.
        side: Which end of the call it is of.
        context: Where it stands.
        parent: Where its parent stands; ``EMPTY`` for the first one of a trace.
        attributes: What it was told.
        ended: Whether it has ended.
        error: What it ended with; ``None`` if it ended well, or has not ended.
    """

    recording: bool = True

    def __init__(
        self, name: str, side: Side, context: SpanContext, parent: SpanContext, told: Attributes
    ) -> None:
        self.name: Final = name
        self.side: Final = side
        self.context: Final = context
        self.parent: Final = parent
        self.attributes: Final[dict[str, AttributeValue]] = dict(told)
        self.ended = False
        self.error: BaseException | None = None

    def set(self, key: str, value: AttributeValue, /) -> None:
        """Note an attribute.

        Raises:
            AssertionError: The span has ended.
        """
        assert not self.ended, f"{self!r} is told {key!r} after its end"
        self.attributes[key] = value

    def end(self, error: BaseException | None = None, /) -> None:
        """Note the end.

        Raises:
            AssertionError: It has ended before.
        """
        assert not self.ended, f"{self!r} ends twice"
        self.ended = True
        self.error = error

    def __repr__(self) -> str:
        state = "open" if not self.ended else "ok" if self.error is None else str(self.error)
        return f"<{self.side.value} span {self.name} {self.context.span_id}: {state}>"


class MemoryTracer:
    """Keeps every span for a test to look at, of all services of a process that are given it.

        tracer = MemoryTracer()
        ...
        called, served = tracer.finished()
        assert served.parent == called.context

    Ids are counted, so they are the same in each run.

    Args:
        propagator: What is read and written in headers.

    Attributes:
        spans: All of them, in the order in which they began.
    """

    def __init__(self, *, propagator: Propagator = W3C) -> None:
        self.spans: list[MemorySpan] = []
        self._propagator = propagator
        self._numbers = count(1)

    def start(
        self, name: str, /, *, side: Side, headers: Header, attributes: Attributes
    ) -> MemorySpan:
        """Begin a span and keep it."""
        parent = parent_of(side, headers, self._propagator)
        context = SpanContext(
            trace_id=parent.trace_id or f"{next(self._numbers):032x}",
            span_id=f"{next(self._numbers):016x}",
            flags=parent.flags if parent.valid else _SAMPLED,
            state=parent.state,
            baggage=parent.baggage,
        )
        span = MemorySpan(name, side, context, parent, attributes)
        self.spans.append(span)
        if side is Side.CLIENT:
            self._propagator.inject(headers, context)
        return span

    def finished(self) -> Sequence[MemorySpan]:
        """Return all spans, in the order in which they began.

        Raises:
            AssertionError: One has not ended.
        """
        still = [span for span in self.spans if not span.ended]
        assert not still, f"these have not ended: {still}"
        return tuple(self.spans)

    def below(self, parent: MemorySpan | None) -> Sequence[MemorySpan]:
        """Return the spans whose parent is a given one; for ``None``, those that have none here."""
        if parent is not None:
            return [span for span in self.spans if _is_below(span, parent)]
        return [span for span in self.spans if not any(_is_below(span, one) for one in self.spans)]

    def tree(self) -> list[str]:
        """Return a line for each span, children indented below their parents by two spaces."""
        return list(self._lines(None, ""))

    def _lines(self, parent: MemorySpan | None, indent: str) -> Iterator[str]:
        for span in self.below(parent):
            yield f"{indent}{span.side.value} {span.name}"
            yield from self._lines(span, f"{indent}  ")


def _is_below(span: MemorySpan, parent: MemorySpan) -> bool:
    ids = (span.parent.trace_id, span.parent.span_id)
    return span is not parent and ids == (parent.context.trace_id, parent.context.span_id)
