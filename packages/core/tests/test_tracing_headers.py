"""What goes with a call from service to service, and what strangers send in its place."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.tracing import (
    EMPTY,
    W3C,
    Baggage,
    Composite,
    ServiceName,
    SpanContext,
    TraceContext,
    format_traceparent,
    parse_traceparent,
    parse_tracestate,
)
from kratos.transport import Header

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"

hexadecimal = st.sampled_from("0123456789abcdef")


def digits(number: int) -> st.SearchStrategy[str]:
    found = st.text(hexadecimal, min_size=number, max_size=number)
    return found.filter(lambda text: text.strip("0") != "")


plain = st.sampled_from([char for char in string.printable[:94] if char not in ",="])
keys = st.from_regex(r"[a-z0-9][a-z0-9_\-*/]{0,20}(@[a-z][a-z0-9]{0,5})?", fullmatch=True)
members = st.dictionaries(keys, st.text(plain, min_size=1, max_size=20), max_size=32)
contexts = st.builds(
    SpanContext,
    trace_id=digits(32),
    span_id=digits(16),
    flags=st.integers(0, 3),
    state=members.map(lambda found: ",".join(f"{key}={value}" for key, value in found.items())),
    baggage=st.sampled_from(["", "user=7", "a=1,b=2;ttl=3"]),
)


@given(contexts)
def test_what_is_injected_is_extracted(context: SpanContext) -> None:
    headers = Header()
    W3C.inject(headers, context)
    assert W3C.extract(headers, EMPTY) == context


@given(contexts, contexts)
def test_second_injection_leaves_nothing_of_the_first(
    first: SpanContext, second: SpanContext
) -> None:
    headers = Header()
    for context in (first, second):
        TraceContext().inject(headers, context)
    found = TraceContext().extract(headers, EMPTY)
    assert (found.trace_id, found.span_id, found.state) == (
        second.trace_id,
        second.span_id,
        second.state,
    )


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f\-]{50,60}", fullmatch=True))
def test_traceparent_of_anybody_is_read_or_left_and_never_raises(text: str) -> None:
    found = parse_traceparent(text)
    assert found is None or parse_traceparent(format_traceparent(found)) == found


@given(st.lists(st.text(max_size=300), max_size=5))
def test_tracestate_of_anybody_is_read_or_left_and_never_raises(texts: list[str]) -> None:
    found = parse_tracestate(texts)
    assert parse_tracestate([found]) == found
    Header.of([("tracestate", found)])


@given(st.lists(st.tuples(st.sampled_from(W3C.fields), st.text(max_size=100)), max_size=6))
def test_headers_of_anybody_can_be_passed_on(pairs: list[tuple[str, str]]) -> None:
    context = W3C.extract(Header.received(pairs), EMPTY)
    W3C.inject(Header(), context)
    assert context.valid or context == SpanContext(baggage=context.baggage)


def test_traceparent_of_the_specification_is_read() -> None:
    assert parse_traceparent(PARENT) == SpanContext(trace_id=TRACE, span_id=SPAN, flags=1)
    assert parse_traceparent(f" {PARENT}\t") == parse_traceparent(PARENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN}x-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"0x-{TRACE}-{SPAN}-01",
        f"00_{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-\u0660\u0661",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_malformed_traceparent_is_as_none(text: str) -> None:
    assert parse_traceparent(text) is None


@pytest.mark.parametrize("rest", ["", "-", "-what-the-future-will-be"])
def test_later_versions_are_read_as_far_as_they_are_known(rest: str) -> None:
    found = parse_traceparent(f"cc-{TRACE}-{SPAN}-09{rest}")
    assert found == SpanContext(trace_id=TRACE, span_id=SPAN, flags=1)
    assert found is not None
    assert format_traceparent(found) == PARENT


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False)])
def test_first_flag_says_whether_the_caller_records(flags: str, sampled: bool) -> None:
    found = parse_traceparent(f"00-{TRACE}-{SPAN}-{flags}")
    assert found is not None
    assert found.sampled is sampled


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["a=1"], "a=1"),
        (["a=1, b=2\t", "", "t@v=3"], "a=1,b=2,t@v=3"),
        ([",,a=1,"], "a=1"),
        (["a"], ""),
        (["a=1,A=2"], ""),
        (["a=1,a=2"], ""),
        (["a=b=c"], ""),
        (["a=ü"], ""),
        (["a= "], ""),
        ([",".join(f"k{number}=1" for number in range(33))], ""),
    ],
)
def test_tracestate_is_passed_on_as_a_whole_or_not_at_all(texts: list[str], found: str) -> None:
    assert parse_tracestate(texts) == found


def test_malformed_tracestate_costs_no_trace() -> None:
    headers = Header.of([("traceparent", PARENT), ("tracestate", "broken")])
    assert W3C.extract(headers, EMPTY) == SpanContext(trace_id=TRACE, span_id=SPAN, flags=1)


def test_two_parents_are_none() -> None:
    headers = Header.of([("traceparent", PARENT), ("traceparent", PARENT), ("tracestate", "a=1")])
    assert W3C.extract(headers, EMPTY) == EMPTY


@pytest.mark.parametrize("text", ["ü=1", "a=" + "x" * 8192, "a=\x01"])
def test_baggage_that_cannot_be_passed_on_is_left_behind(text: str) -> None:
    assert Baggage().extract(Header.received([("baggage", text)]), EMPTY) == EMPTY


def test_baggage_goes_along_without_a_trace() -> None:
    headers, onward = Header.of([("baggage", "a=1"), ("baggage", "b=2")]), Header()
    context = W3C.extract(headers, EMPTY)
    W3C.inject(onward, context)
    assert not context.valid
    assert list(onward.items()) == [("baggage", "a=1,b=2")]


def test_fields_are_those_of_all_propagators_once() -> None:
    made = Composite(Baggage(), TraceContext(), Baggage())
    assert made.fields == W3C.fields == ("baggage", "traceparent", "tracestate")
    assert ServiceName().fields == ("x-md-service-name",)


@pytest.mark.parametrize(("name", "headers"), [("shop", [("x-md-service-name", "shop")]), ("", [])])
def test_service_with_a_name_tells_it(name: str, headers: Any) -> None:
    written = Header()
    ServiceName().inject(written, name)
    assert list(written.items()) == headers


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([], ""),
        ([("x-md-service-name", "shop")], "shop"),
        ([("x-md-service-name-of-old", "attic"), ("X-Md-Service-Name", "shop")], "shop"),
    ],
)
def test_name_of_the_calling_service_is_read(headers: Any, name: str) -> None:
    assert ServiceName().extract(Header.of(headers)) == name
