"""Errors in JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import Error, FieldViolation, bad_request, conflict
from kratos_grpc._http_status import inferred
from kratos_grpc.connect._errors import dumped, error_object, read_error
from kratos_http.connect_codes import code_of, name_of, status_of

UNKNOWN = 2


def travelled(error: Error) -> Error:
    """Return what another end makes of an error."""
    found = read_error(json.loads(dumped(error_object(error)[1])), otherwise=UNKNOWN)
    assert found is not None
    return found


def same(one: Error, two: Error) -> bool:
    return (one.code, one.reason, one.message, one.metadata, one.details, one.grpc_code) == (
        two.code,
        two.reason,
        two.message,
        two.metadata,
        two.details,
        two.grpc_code,
    )


@pytest.mark.parametrize(
    "error",
    [
        Error(404, "MISSING", "no such thing", {"id": "7"}),
        Error(418, "TEAPOT"),
        Error(500),
        Error(412, "STALE", details=[Duration(seconds=1)]),
        conflict("TAKEN").with_grpc_code(6),
        bad_request("WRONG").with_field_violations(FieldViolation("a.b", "is odd", "ODD")),
    ],
    ids=repr,
)
def test_nothing_is_lost_between_services_of_ours(error: Error) -> None:
    assert same(travelled(error), error)


@given(
    code=st.integers(100, 999).filter(lambda code: code != 200),
    reason=st.text(max_size=20),
    message=st.text(max_size=50),
    metadata=st.dictionaries(st.text(max_size=10), st.text(max_size=10), max_size=3),
)
def test_any_error_travels(code: int, reason: str, message: str, metadata: dict[str, str]) -> None:
    error = Error(code, reason, message, metadata)
    assert same(travelled(error), error)


def test_a_detail_of_an_unknown_type_has_no_readable_form() -> None:
    secret = AnyMessage(type_url="type.googleapis.com/lab.Unknown", value=b"\x08\x01")
    broken = AnyMessage(type_url="type.googleapis.com/google.protobuf.Duration", value=b"\xff")
    details = error_object(Error(400, details=[secret, broken]))[1]["details"]
    assert details == [
        {"type": "lab.Unknown", "value": "CAE"},
        {"type": "google.protobuf.Duration", "value": "/w"},
    ]


@pytest.mark.parametrize("written", [None, 1, "no", []])
def test_what_is_no_error_is_none(written: Any) -> None:
    assert read_error(written, otherwise=UNKNOWN) is None


@pytest.mark.parametrize("written", [{}, {"code": None}, {"code": 5}, {"message": 7}])
def test_an_error_without_a_code_is_what_the_answer_tells_otherwise(written: Any) -> None:
    found = read_error(written, otherwise=14)
    assert found is not None
    assert (found.code, found.message) == (503, "")


def test_an_unknown_code_is_what_the_answer_tells_otherwise() -> None:
    found = read_error({"code": "new_code", "message": "hm"}, otherwise=14)
    assert found is not None
    assert (found.code, found.message) == (503, "hm")


@pytest.mark.parametrize(
    "details",
    [None, 5, {}, [5], [{"type": "a.B"}], [{"value": "CAE"}], [{"type": "a.B", "value": "?"}]],
)
def test_malformed_details_are_passed_over(details: Any) -> None:
    found = read_error({"code": "not_found", "details": details}, otherwise=UNKNOWN)
    assert found is not None
    assert (found.code, found.details) == (404, ())


def test_half_of_a_surrogate_pair_is_an_error_like_others() -> None:
    half = json.loads(r'"\ud800"')
    told = {"code": "not_found", "message": half, "details": [{"type": half, "value": ""}]}
    found = read_error(told, otherwise=UNKNOWN)
    assert found is not None
    assert (found.code, found.message) == (404, "?")


def test_details_are_read_with_and_without_padding() -> None:
    for value in ("CAM", "CAM="):
        detail = {"type": "google.protobuf.Duration", "value": value}
        found = read_error({"code": "aborted", "details": [detail]}, otherwise=UNKNOWN)
        assert found is not None
        assert found.detail(Duration) == Duration(seconds=3)


def test_codes_have_names_and_statuses() -> None:
    assert [name_of(code) for code in (1, 5, 16)] == ["canceled", "not_found", "unauthenticated"]
    assert [status_of(code) for code in (1, 9, 15)] == [499, 400, 500]
    assert all(code_of(name_of(code)) == code for code in range(1, 17))
    assert (name_of(99), status_of(0), code_of("ok"), code_of(5)) == ("unknown", 500, None, None)


def test_an_answer_that_is_none_of_connect_is_told_by_its_status() -> None:
    statuses = (400, 401, 403, 404, 429, 502, 503, 504, 418, 302)
    assert [inferred(status) for status in statuses] == [13, 16, 7, 12, 14, 14, 14, 14, 2, 2]
