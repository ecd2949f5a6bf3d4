"""Making a span current, for code that is no middleware of a chain."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from kratos.tracing._interface import SPAN, Activating, Span, Tracer

__all__ = ["within"]


@contextmanager
def within(span: Span, /, *, tracer: Tracer) -> Generator[None]:
    """Make a span the current one for a block, as ``tracing`` does for a call.

    It does not end the span.

    Args:
        span: It.
        tracer: What has begun it; it hears of that, too, if it is ``Activating``.
    """
    # Asked like this because protocols answer in microseconds, and this is for each request.
    activate = getattr(tracer, "activate", None)
    active = None if activate is None else activate(span)
    token = SPAN.set(span)
    try:
        yield
    finally:
        SPAN.reset(token)
        if activate is not None:
            cast("Activating", tracer).deactivate(active)
