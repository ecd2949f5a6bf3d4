"""The wire error and its kinds; the restated tests are those of Go's errors package."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st

from kratos import errors, local
from kratos.errors import Error, FieldViolation, from_error, from_grpc_code, to_grpc_code
from kratos.testing.echo import ECHO, EchoService

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
KINDS = [
    ("bad_request", 400),
    ("unauthorized", 401),
    ("forbidden", 403),
    ("not_found", 404),
    ("conflict", 409),
    ("too_many_requests", 429),
    ("client_closed", 499),
    ("internal_server", 500),
    ("service_unavailable", 503),
    ("gateway_timeout", 504),
]


def caused(error: Exception, cause: BaseException) -> Exception:
    try:
        raise error from cause
    except Exception as raised:
        return raised


def test_text_is_that_of_go() -> None:
    error = Error(400, "R", "m", {"k": "v"}).with_cause(ValueError("boom"))
    assert str(error) == "error: code = 400 reason = R message = m metadata = map[k:v] cause = boom"
    assert str(Error(500, "")) == (
        "error: code = 500 reason =  message =  metadata = map[] cause = <nil>"
    )


def test_matching_compares_code_and_reason_alone() -> None:
    error = Error(400, "R", "one", {"k": "v"})
    assert error.matches(Error(400, "R", "two"))
    assert errors.matches(error, Error(400, "R"))
    assert not error.matches(Error(400, "OTHER"))
    assert not error.matches(Error(500, "R"))
    assert not error.matches(Error(0))
    assert not error.matches(None)


def test_matching_looks_through_wrapping_exceptions() -> None:
    wrapped = caused(RuntimeError("outer"), caused(ValueError("inner"), Error(404, "GONE")))
    assert Error(404, "GONE").matches(wrapped)


def test_chain_that_loops_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert errors.code(one) == 500


def test_metadata_and_cause_go_to_a_copy() -> None:
    original = Error(400, "R", "m", {"k": "v"})
    cause = ValueError("boom")
    changed = original.with_metadata({"a": "b"}).with_cause(cause)
    assert (original.metadata, original.cause) == ({"k": "v"}, None)
    assert (changed.metadata, changed.cause) == ({"a": "b"}, cause)
    assert changed.with_metadata({}).cause is cause


def test_clone_shares_nothing() -> None:
    original = Error(400, "R", "m", {"k": "v"}).with_cause(ValueError("boom"))
    clone = original.clone()
    clone.metadata["k"] = "changed"
    assert original.metadata == {"k": "v"}
    assert clone.cause is original.cause


def test_chosen_status_code_goes_to_a_copy_and_stays_on_it() -> None:
    original = errors.conflict("TAKEN")
    chosen = original.with_grpc_code(6)
    assert original.grpc_code is None
    assert chosen.with_metadata({"k": "v"}).with_cause(ValueError()).grpc_code == 6
    assert chosen.matches(original)


@pytest.mark.parametrize("code", [-1, 0, 17])
def test_status_code_of_no_failed_call_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match=f"^{code} is no status code"):
        errors.conflict("TAKEN").with_grpc_code(code)


def pickled(error: Error) -> Error:
    copied: Error = pickle.loads(pickle.dumps(error))
    return copied


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_error_survives_copying_and_pickling(copied: Callable[[Error], Error]) -> None:
    error = copied(Error(400, "R", "m", {"k": "v"}).with_grpc_code(9))
    assert (error.code, error.reason, error.message, error.metadata) == (400, "R", "m", {"k": "v"})
    assert error.grpc_code == 9


def test_from_error_of_nothing_is_nothing() -> None:
    assert from_error(None) is None
    assert errors.code(None) == 200
    assert errors.reason(None) == ""


def test_from_error_finds_the_error_in_the_chain_of_causes() -> None:
    inner = Error(10001, "FAR", "out")
    assert from_error(caused(RuntimeError("outer"), inner)) is inner
    assert errors.code(inner) == 10001
    assert errors.reason(caused(RuntimeError("outer"), inner)) == "FAR"


def test_from_error_of_a_foreign_exception_is_500_with_its_text() -> None:
    foreign = ValueError("boom")
    error = from_error(foreign)
    assert error is not None
    assert (error.code, error.reason, error.message) == (500, "", "boom")
    assert error.cause is foreign


@pytest.mark.parametrize(
    "others",
    [[], [Error(503, "LATER")], [ExceptionGroup("inner", [Error(503, "LATER")])]],
    ids=["alone", "two", "nested"],
)
def test_group_of_errors_stands_for_the_first(others: list[Exception]) -> None:
    first = Error(404, "GONE")
    assert from_error(ExceptionGroup("outer", [ExceptionGroup("in", [first]), *others])) is first


def test_group_of_one_exception_stands_for_what_caused_it() -> None:
    inner = Error(404, "GONE")
    assert from_error(ExceptionGroup("outer", [caused(RuntimeError(), inner)])) is inner


def test_group_with_an_exception_that_is_no_error_among_others_is_500() -> None:
    mixed = ExceptionGroup("outer", [Error(404, "GONE"), ValueError("boom")])
    assert (errors.code(mixed), errors.reason(mixed)) == (500, "")


def test_error_that_merely_happened_before_is_no_cause() -> None:
    error = ValueError("unrelated")
    error.__context__ = Error(404, "GONE")
    assert errors.code(error) == 500


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_kind_has_its_code_and_a_predicate_that_looks_through_wrapping(
    kind: str, code: int
) -> None:
    error = getattr(errors, kind)("R", "m", {"k": "v"})
    is_kind = getattr(errors, f"is_{kind}")
    assert (error.code, error.reason, error.message) == (code, "R", "m")
    assert is_kind(error)
    assert is_kind(caused(RuntimeError("outer"), error))
    assert not is_kind(Error(418))
    assert not is_kind(None)


@pytest.mark.parametrize(
    ("http", "grpc"),
    [
        (200, 0),
        (400, 3),
        (401, 16),
        (403, 7),
        (404, 5),
        (409, 10),
        (412, 9),
        (429, 8),
        (499, 1),
        (500, 13),
        (501, 12),
        (503, 14),
        (504, 4),
        (405, 2),
        (10001, 2),
    ],
)
def test_http_code_maps_to_grpc(http: int, grpc: int) -> None:
    assert to_grpc_code(http) == grpc


@pytest.mark.parametrize(
    ("grpc", "http"),
    [
        (0, 200),
        (1, 499),
        (2, 500),
        (3, 400),
        (4, 504),
        (5, 404),
        (6, 409),
        (7, 403),
        (8, 429),
        (9, 412),
        (10, 409),
        (11, 400),
        (12, 501),
        (13, 500),
        (14, 503),
        (15, 500),
        (16, 401),
        (99, 500),
    ],
)
def test_grpc_code_maps_to_http(grpc: int, http: int) -> None:
    assert from_grpc_code(grpc) == http


@pytest.mark.parametrize("http", [200, 400, 401, 403, 404, 409, 412, 429, 499, 500, 501, 503, 504])
def test_code_with_a_row_survives_the_way_through_grpc(http: int) -> None:
    assert from_grpc_code(to_grpc_code(http)) == http


def test_missing_dependency_prints_the_command_that_mends_it() -> None:
    assert "pip install kratos-etcd" in str(errors.MissingDependency("etcd://", "kratos-etcd"))


def duration(seconds: int) -> Duration:
    return Duration(seconds=seconds)


def test_detail_is_found_by_its_type() -> None:
    error = Error(400, "R").with_detail(duration(1), StringValue(value="x"), duration(2))
    assert error.detail(Duration) == duration(1)
    assert error.detail(StringValue) == StringValue(value="x")
    assert error.detail(Empty) is None
    assert [each.type_url for each in error.details] == [
        "type.googleapis.com/google.protobuf.Duration",
        "type.googleapis.com/google.protobuf.StringValue",
        "type.googleapis.com/google.protobuf.Duration",
    ]


def test_detail_goes_to_a_copy() -> None:
    original = Error(400, "R", "m", {"k": "v"}).with_cause(ValueError("boom"))
    changed = original.with_detail(duration(1))
    assert original.details == ()
    assert changed.matches(original)
    assert (changed.metadata, changed.cause) == (original.metadata, original.cause)


def test_detail_of_a_type_that_is_not_known_is_kept_as_it_is() -> None:
    stranger = AnyMessage(type_url="example.com/shop.v9.Unheard", value=b"\xff\x00")
    error = Error(400, "R", details=[stranger])
    assert error.details == (stranger,)
    stranger.value = b"changed"
    assert error.details[0].value == b"\xff\x00"


def test_detail_whose_bytes_are_none_of_its_type_is_passed_over() -> None:
    broken = AnyMessage(type_url="type.googleapis.com/google.protobuf.Duration", value=b"\xff")
    error = Error(400, "R", details=[broken])
    assert error.detail(Duration) is None
    assert error.with_detail(duration(1)).detail(Duration) == duration(1)


def test_detail_must_be_a_message() -> None:
    wrong: Any = {"field": "email"}
    with pytest.raises(TypeError, match="a detail is a protobuf message, not dict"):
        Error(400, "R", details=[wrong])
    with pytest.raises(TypeError, match="not dict"):
        Error(400, "R").with_detail(wrong)


VIOLATIONS = (
    FieldViolation("email", "is no address", "NO_ADDRESS"),
    FieldViolation("tags[2]", "is empty"),
)


def test_field_violations_are_those_of_all_bad_requests() -> None:
    bad_request: Any = import_module("google.rpc.error_details_pb2").BadRequest
    told = bad_request(field_violations=[{"field": "age", "description": "is negative"}])
    error = errors.bad_request("INVALID").with_field_violations(*VIOLATIONS)
    assert error.field_violations == VIOLATIONS
    assert error.with_detail(told).field_violations == (
        *VIOLATIONS,
        FieldViolation("age", "is negative"),
    )


def test_further_field_violations_go_into_the_same_detail() -> None:
    error = Error(400, "R", details=[duration(1)])
    for violation in VIOLATIONS:
        error = error.with_field_violations(violation)
    assert len(error.details) == 2
    assert error.field_violations == VIOLATIONS


def test_list_in_place_of_field_violations_is_refused() -> None:
    violations: Any = list(VIOLATIONS)
    with pytest.raises(TypeError, match=r"write with_field_violations\(FieldViolation\("):
        errors.bad_request("INVALID").with_field_violations(violations)


def test_error_without_details_has_no_field_violations() -> None:
    assert Error(400, "R").field_violations == ()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled, Error.clone])
def test_details_survive_copying_and_pickling(copied: Callable[[Error], Error]) -> None:
    original = Error(400, "R", "m", {"k": "v"}).with_detail(duration(1), StringValue(value="x"))
    error = copied(original)
    assert (error.code, error.reason, error.message, error.metadata) == (400, "R", "m", {"k": "v"})
    assert error.details == original.details


def test_details_do_not_change_what_an_error_matches_and_says() -> None:
    plain, detailed = Error(400, "R", "m"), Error(400, "R", "m", details=[duration(1)])
    assert detailed.matches(plain)
    assert plain.matches(detailed)
    assert detailed != plain
    assert str(detailed) == str(plain)
    assert repr(detailed).endswith("metadata={}, details=[google.protobuf.Duration])")


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4))
def test_any_field_violations_come_back(told: list[tuple[str, str, str]]) -> None:
    violations = tuple(FieldViolation(*each) for each in told)
    error = Error(400, "R").with_field_violations(*violations)
    assert pickled(error).field_violations == violations


async def test_details_reach_a_caller_in_this_process() -> None:
    class Refusing(EchoService):
        async def echo(self, request: StringValue, /) -> StringValue:
            raise Error(400, "R", details=[duration(1)]) from ValueError("an inner secret")

    with pytest.raises(Error) as failure:
        await local(Refusing()).unary(ECHO, StringValue())
    assert failure.value.detail(Duration) == duration(1)
    assert failure.value.cause is None
