"""Spans of code that is no middleware."""

from __future__ import annotations

import pytest

from kratos.testing.tracing import MemoryTracer
from kratos.tracing import Span, current_span, within
from kratos.transport import Header, Side


class Activated(MemoryTracer):
    """A tracer with a current span of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[object] = []

    def activate(self, span: Span, /) -> object:
        self.heard.append(span)
        return "token"

    def deactivate(self, token: object, /) -> None:
        self.heard.append(token)


def test_span_is_current_within_the_block_and_not_ended_by_it() -> None:
    tracer = MemoryTracer()
    outer = tracer.start("outer", side=Side.SERVER, headers=Header(), attributes={})
    with within(outer, tracer=tracer):
        assert current_span() is outer
        inner = tracer.start("inner", side=Side.CLIENT, headers=Header(), attributes={})
    assert current_span() is None
    assert inner.parent == outer.context
    assert not outer.ended


def test_tracer_with_a_current_span_of_its_own_hears_of_it_however_the_block_ends() -> None:
    tracer = Activated()
    span = tracer.start("span", side=Side.SERVER, headers=Header(), attributes={})
    with pytest.raises(RuntimeError), within(span, tracer=tracer):
        raise RuntimeError
    assert tracer.heard == [span, "token"]
    assert current_span() is None
