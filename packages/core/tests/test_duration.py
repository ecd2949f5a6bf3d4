"""Go durations: what parses, what is printed, where the range ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.duration import (
    MAX_NANOSECONDS,
    MIN_NANOSECONDS,
    clamp_nanoseconds,
    format_duration,
    format_nanoseconds,
    parse_duration,
    parse_nanoseconds,
)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("0s", 0),
        ("5s", 5_000_000_000),
        ("+5s", 5_000_000_000),
        ("-5s", -5_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("5.s", 5_000_000_000),
        ("250ms", 250_000_000),
        ("12us", 12_000),
        ("12\u00b5s", 12_000),
        ("12\u03bcs", 12_000),
        ("13ns", 13),
        ("1h2m3.5s", 3_723_500_000_000),
        ("3s1h", 3_603_000_000_000),
        ("0.3333333333333333333h", 1_199_999_999_999),
        ("1.9ns", 1),
        ("2562047h47m16.854775807s", MAX_NANOSECONDS),
        ("-2562047h47m16.854775808s", MIN_NANOSECONDS),
    ],
)
def test_duration_parses(text: str, nanoseconds: int) -> None:
    assert parse_nanoseconds(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no duration"),
        ("-", "no duration"),
        (".", "no duration"),
        ("s", "no duration"),
        (".s", "no duration"),
        ("1s ", "unknown unit"),
        (" 1s", "no duration"),
        ("3", "unit is missing"),
        ("1h2", "unit is missing"),
        ("1d", "unknown unit 'd'"),
        ("1.2.3s", "unit is missing"),
        ("--1s", "no duration"),
        ("\u0661s", "no duration"),
        ("3000000h", "out of range"),
        ("9223372036854775808ns", "out of range"),
        ("9" * 5000 + "s", "out of range"),
    ],
)
def test_what_is_no_duration_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_nanoseconds(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1\u00b5s"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (120_000_000_022, "2m0.000000022s"),
        (100_000_000_000, "1m40s"),
        (-100_000_000_000, "-1m40s"),
        (3_600_000_000_000, "1h0m0s"),
        (MAX_NANOSECONDS, "2562047h47m16.854775807s"),
        (MIN_NANOSECONDS, "-2562047h47m16.854775808s"),
    ],
)
def test_duration_prints_as_go_does(nanoseconds: int, text: str) -> None:
    assert format_nanoseconds(nanoseconds) == text


def test_seconds_are_floats() -> None:
    assert parse_duration("1m0.25s") == 60.25
    assert format_duration(60.25) == "1m0.25s"


def test_seconds_beyond_the_range_are_clamped() -> None:
    assert format_duration(float("inf")) == "2562047h47m16.854775807s"
    assert format_duration(-1e300) == "-2562047h47m16.854775808s"


def test_nan_is_no_duration() -> None:
    with pytest.raises(ValueError, match="NaN"):
        format_duration(float("nan"))


@pytest.mark.parametrize(
    ("seconds", "nanos", "clamped"),
    [
        (100, 0, 100_000_000_000),
        (-100, -5, -100_000_000_005),
        (1 << 62, 0, MAX_NANOSECONDS),
        (-(1 << 62), 0, MIN_NANOSECONDS),
        (9_223_372_036, 999_999_999, MAX_NANOSECONDS),
    ],
)
def test_parts_of_a_protobuf_duration_are_clamped(seconds: int, nanos: int, clamped: int) -> None:
    assert clamp_nanoseconds(seconds, nanos) == clamped


@given(st.integers(MIN_NANOSECONDS, MAX_NANOSECONDS))
def test_parsing_undoes_printing(nanoseconds: int) -> None:
    assert parse_nanoseconds(format_nanoseconds(nanoseconds)) == nanoseconds


@given(st.text(alphabet=st.sampled_from("0123456789.+-hmsnuµ ")) | st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        nanoseconds = parse_nanoseconds(text)
    except ValueError:
        return
    assert MIN_NANOSECONDS <= nanoseconds <= MAX_NANOSECONDS
