"""Errors as gRPC statuses; the bytes are those of Go Kratos."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import quote

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error, FieldViolation, from_grpc_code, to_grpc_code
from kratos_grpc.status import WireStatus, from_status, to_status

TYPE_URL = b"type.googleapis.com/google.rpc.ErrorInfo"

PREFIX = "type.googleapis.com/google.rpc."
MOST = 8 * 1024  # bytes of trailers that many peers take

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
errors = st.builds(
    Error,
    st.integers(min_value=100, max_value=999),
    texts,
    texts,
    st.dictionaries(texts, texts, max_size=4),
)


def parts(error: Error) -> tuple[int, str, str, Mapping[str, str]]:
    return error.code, error.reason, error.message, error.metadata


def details(*infos: Message, code: int = 5) -> bytes:
    status = status_pb2.Status(code=code)
    for info in infos:
        status.details.add().Pack(info)
    data: bytes = status.SerializeToString()
    return data


def test_bytes_are_those_that_go_writes() -> None:
    status = to_status(Error(400, "R", "m", {"k": "v"}))
    assert status.code == 3
    assert status.message == "m"
    assert status.details == (
        b"\x08\x03\x12\x01m\x1a\x37\x0a\x28"
        + TYPE_URL
        + b"\x12\x0b\x0a\x01R\x1a\x06\x0a\x01k\x12\x01v"
    )


def test_error_info_is_there_even_without_reason_and_metadata() -> None:
    status = to_status(Error(404))
    assert status.details == b"\x08\x05\x1a\x2a\x0a\x28" + TYPE_URL


def test_exact_code_comes_second_and_only_where_the_table_would_lose_it() -> None:
    lossless = status_pb2.Status.FromString(to_status(Error(404, "R")).details)
    lossy = status_pb2.Status.FromString(to_status(Error(418, "R")).details)
    infos = [error_details_pb2.ErrorInfo.FromString(each.value) for each in lossy.details]
    assert len(lossless.details) == 1
    assert [(info.reason, info.domain) for info in infos] == [
        ("R", ""),
        ("HTTP_STATUS", "kratos"),
    ]


@pytest.mark.parametrize("code", [200, 400, 404, 405, 408, 412, 418, 422, 499, 600, 999, 10001])
def test_code_comes_back_as_it_was(code: int) -> None:
    assert from_status(to_status(Error(code, "R"))).code == code


def test_success_code_never_ends_a_call_with_ok() -> None:
    assert to_status(Error(200, "ODD", "m")).code == 2


@given(errors)
def test_every_error_comes_back_whole(error: Error) -> None:
    assert parts(from_status(to_status(error))) == parts(error)


@given(errors)
def test_status_code_is_that_of_the_table(error: Error) -> None:
    assert to_status(error).code == (to_grpc_code(error.code) or 2)


@given(errors, st.integers(min_value=1, max_value=16))
def test_chosen_status_code_is_sent_and_nothing_else_is_lost(error: Error, code: int) -> None:
    status = to_status(error.with_grpc_code(code))
    came = from_status(status)
    assert status.code == code
    assert parts(came) == parts(error)
    assert to_status(came).code == code


@pytest.mark.parametrize("code", range(1, 17))
def test_status_of_another_implementation_is_passed_on_as_it_came(code: int) -> None:
    assert to_status(from_status(WireStatus(code=code, message="m"))).code == code


@pytest.mark.parametrize("code", [-1, 0, 17, 99])
def test_unknown_status_code_stays_on_no_error(code: int) -> None:
    assert from_status(WireStatus(code=code)).grpc_code is None


def test_code_chosen_for_another_status_is_not_believed() -> None:
    exact = error_details_pb2.ErrorInfo(
        reason="HTTP_STATUS", domain="kratos", metadata={"code": "418", "grpc_code": "9"}
    )
    assert from_status(WireStatus(code=6, details=details(exact))).code == 409


anys = st.builds(
    Any,
    type_url=st.text("ab.", min_size=1, max_size=8).map("example.com/{}".format),
    value=st.binary(max_size=50),
)


@given(errors, st.lists(anys, max_size=4))
def test_details_come_back_as_they_were_and_change_nothing_else(
    error: Error, details: list[Any]
) -> None:
    came = from_status(to_status(error.with_detail(*details)))
    assert list(came.details) == details
    assert parts(came) == parts(error)


def test_details_follow_what_go_reads() -> None:
    retry = error_details_pb2.RetryInfo(retry_delay={"seconds": 3})
    plain, detailed = Error(418, "R", "m", {"k": "v"}), Error(418, "R", "m", {"k": "v"})
    detailed = detailed.with_detail(retry).with_field_violations(FieldViolation("email", "bad"))
    written = status_pb2.Status.FromString(to_status(detailed).details)
    assert [each.type_url for each in written.details] == [
        TYPE_URL.decode(),
        TYPE_URL.decode(),
        f"{PREFIX}RetryInfo",
        f"{PREFIX}BadRequest",
    ]
    assert to_status(detailed).details.startswith(to_status(plain).details)


def test_error_info_of_somebody_else_is_a_detail_too() -> None:
    foreign = error_details_pb2.ErrorInfo(reason="API_OFF", domain="googleapis.com")
    came = from_status(WireStatus(code=7, details=details(foreign, code=7)))
    assert came.reason == "API_OFF"
    assert came.detail(error_details_pb2.ErrorInfo) == foreign
    again = from_status(to_status(came))
    assert again.details == came.details
    assert again.reason == "API_OFF"


def test_details_that_do_not_fit_into_trailers_are_left_out_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = Error(418, "TOO_MUCH", "m", {"k": "v"})
    large = plain.with_detail(error_details_pb2.DebugInfo(detail="x" * MOST))
    assert to_status(large) == to_status(plain)
    assert "is sent without its details" in caplog.text
    assert "TOO_MUCH" in caplog.text
    assert "google.rpc.DebugInfo" in caplog.text
    assert "xxx" not in caplog.text


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=1500),
    st.integers(min_value=0, max_value=6000),
)
def test_error_whose_details_are_sent_fits_into_trailers(message: str, size: int) -> None:
    plain = Error(400, "R", message)
    status = to_status(plain.with_detail(error_details_pb2.DebugInfo(detail="x" * size)))
    if status == to_status(plain):
        return
    assert len(base64.b64encode(status.details)) + len(quote(message)) < MOST - 512


@pytest.mark.parametrize(
    "error",
    [
        Error(404, "MISSING", "no user " + "x" * 3_000_000, {"k": "v"}),
        Error(404, "MISSING", "no user " + "\U0001f600" * 9_000, {"k": "v"}),
        Error(404, "MISSING", "no user", {"k": "\U0001f600" * 9_000}),
        Error(404, "MISSING" + "\U0001f600" * 9_000, "no user"),
        Error(418, "MISSING" * 9_000, "no user " * 9_000, {"k" * 9_000: "v" * 9_000}),
    ],
    ids=["message", "emoji", "metadata", "reason", "all"],
)
def test_error_of_texts_without_end_is_cut_to_what_fits_into_trailers(
    error: Error, caplog: pytest.LogCaptureFixture
) -> None:
    status = to_status(error)
    assert len(base64.b64encode(status.details)) + len(quote(status.message)) < MOST - 512
    came = from_status(status)
    assert came.code == error.code
    assert came.reason.startswith("MISSING")
    assert came.message.startswith("no user")
    assert "is sent shortened" in caplog.text


def test_cause_does_not_travel() -> None:
    error = Error(500, "R", "m").with_cause(RuntimeError("an inner secret"))
    assert b"secret" not in to_status(error).details


def test_text_that_is_no_unicode_does_not_keep_an_error_from_its_caller() -> None:
    came = from_status(to_status(Error(400, "R", "bad \udcff name", {"k\udc80": "v"})))
    assert (came.message, came.metadata) == ("bad ? name", {"k?": "v"})


@pytest.mark.parametrize("code", range(1, 17))
def test_status_without_details_keeps_code_and_message(code: int) -> None:
    error = from_status(WireStatus(code=code, message="m"))
    assert parts(error) == (from_grpc_code(code), "", "m", {})


def test_first_error_info_counts_and_other_details_do_not() -> None:
    came = from_status(
        WireStatus(
            code=5,
            details=details(
                error_details_pb2.RetryInfo(),
                error_details_pb2.ErrorInfo(reason="FIRST", domain="example.com"),
                error_details_pb2.ErrorInfo(reason="SECOND", metadata={"k": "v"}),
            ),
        )
    )
    assert (came.reason, came.metadata) == ("FIRST", {})


@pytest.mark.parametrize("text", ["404", "", "x", "-1", "4.0", "٤١٨", "1" * 40])
def test_code_that_contradicts_its_status_is_not_believed(text: str) -> None:
    exact = error_details_pb2.ErrorInfo(
        reason="HTTP_STATUS", domain="kratos", metadata={"code": text}
    )
    came = from_status(WireStatus(code=2, details=details(exact)))
    assert (came.code, came.reason) == (500, "")


@given(st.binary(max_size=60))
def test_malformed_details_are_passed_over(data: bytes) -> None:
    came = from_status(WireStatus(code=14, message="away", details=data))
    assert (came.code, came.message) == (503, "away")


@pytest.mark.parametrize("value", [b"\xff", b"\x0a\x02\xff\xfe"])
def test_malformed_error_info_is_passed_over(value: bytes) -> None:
    status = status_pb2.Status(code=5)
    status.details.add(type_url=TYPE_URL.decode(), value=value)
    came = from_status(WireStatus(code=5, details=status.SerializeToString()))
    assert parts(came) == (404, "", "", {})
