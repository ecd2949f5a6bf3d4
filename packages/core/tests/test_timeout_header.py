from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos.transport.timeout import format_timeout, parse_timeout


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"250m", 0.25),
        (b"5u", 5e-6),
        (b"7n", 7e-9),
        (b"0S", 0.0),
        (b"99999999H", 99999999 * 3600.0),
    ],
)
def test_timeout_is_read(text: bytes, seconds: float) -> None:
    assert parse_timeout(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", [b"", b"5", b"5x", b"-5S", b"1.5S", b"123456789S", b" 5S", b"S"])
def test_what_is_no_timeout_is_refused(text: bytes) -> None:
    with pytest.raises(Error, match="Grpc-Timeout") as refusal:
        parse_timeout(text)
    assert refusal.value.code == 400


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_timeout_survives_its_text_rounded_down(seconds: float) -> None:
    read = parse_timeout(format_timeout(seconds).encode())
    assert min(seconds * 0.9999, seconds - 1e-6) <= read <= seconds * (1 + 1e-9)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 9e-7])
def test_timeout_that_is_hardly_any_is_not_none(seconds: float) -> None:
    assert format_timeout(seconds) == "1u"
