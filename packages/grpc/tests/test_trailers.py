"""The end of a call as trailers of HTTP."""

from __future__ import annotations

import base64
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error
from kratos_grpc._deadline import seconds_of
from kratos_grpc._trailers import encoded_message, status_trailers
from kratos_grpc.status import WireStatus, from_status, to_status


@given(st.text())
def test_message_is_printable_ascii_and_comes_back(message: str) -> None:
    sent = encoded_message(message)
    assert all(0x20 <= byte <= 0x7E for byte in sent)
    assert sent.strip() == sent
    assert unquote(sent.decode()) == message.encode("utf-8", "replace").decode()


def test_message_is_legible_where_it_can_be() -> None:
    assert encoded_message("no cake (100% sold): é\n") == b"no cake (100%25 sold): %C3%A9%0A"


def test_blanks_within_a_message_take_no_longer_than_other_letters() -> None:
    blanks = " " * 1_000_000  # hours, if each were looked at with all that follow it
    assert encoded_message(f" x{blanks}x  ") == f"%20x{blanks}x%20%20".encode()
    assert encoded_message("  ") == b"%20%20"


def test_error_comes_back_from_its_trailers() -> None:
    error = Error(418, "TEAPOT", "short & stout", {"handle": "here"})
    trailers = dict(status_trailers(to_status(error), [(b"x-own", b"1")]))
    details = trailers.pop(b"grpc-status-details-bin")
    assert trailers == {
        b"grpc-status": b"2",
        b"grpc-message": b"short & stout",
        b"x-own": b"1",
    }
    assert not details.endswith(b"=")
    told = base64.b64decode(details + b"=" * (-len(details) % 4))
    back = from_status(WireStatus(code=2, message="short & stout", details=told))
    assert (back.code, back.reason, back.message) == (418, "TEAPOT", "short & stout")
    assert back.metadata == {"handle": "here"}


def test_status_without_message_and_details_is_a_number() -> None:
    assert list(status_trailers(WireStatus(code=0))) == [(b"grpc-status", b"0")]


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(b"", None), (b"0m", 0.0), (b"250m", 0.25), (b"2S", 2.0), (b"9999H", None)],
)
def test_timeout_beyond_a_year_is_none(timeout: bytes, seconds: float | None) -> None:
    assert seconds_of(timeout) == seconds


@pytest.mark.parametrize("timeout", [b"1", b"m", b"123456789m", b"-1m", b"1 m", b"1x"])
def test_timeout_that_is_none_is_refused(timeout: bytes) -> None:
    with pytest.raises(Error) as failure:
        seconds_of(timeout)
    assert (failure.value.code, failure.value.reason) == (400, "CODEC")
