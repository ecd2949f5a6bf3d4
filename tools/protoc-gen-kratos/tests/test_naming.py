"""Python names of proto names (Go: cmd/protoc-gen-go-errors/errors_test.go has eight of them)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoc_gen_kratos.naming import (
    class_name,
    constant_name,
    error_name,
    identifier,
    method_name,
    snake,
    unused,
)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("SYSTEM_ERROR", "system_error"),
        ("System_Error", "system_error"),
        ("System_error", "system_error"),
        ("system_error", "system_error"),
        ("systemError", "system_error"),
        ("SystemError", "system_error"),
        ("UNKNOWN", "unknown"),
        ("Unknown", "unknown"),
        ("A_A", "a_a"),
        ("NOT_404_FOUND", "not_404_found"),
        ("_LEADING__DOUBLE_", "leading_double"),
    ],
)
def test_error_reasons_fold_as_in_go(value: str, name: str) -> None:
    assert error_name(value) == name


@pytest.mark.parametrize(
    ("proto", "python"),
    [
        ("SayHello", "say_hello"),
        ("sayHello", "say_hello"),
        ("say_hello", "say_hello"),
        ("GetHTTPInfo", "get_http_info"),
        ("GetHttpInfo", "get_http_info"),
        ("V2Get", "v2_get"),
        ("List", "list"),
    ],
)
def test_methods_are_named_in_snake_case(proto: str, python: str) -> None:
    assert method_name(proto) == python


@pytest.mark.parametrize(
    ("proto", "python"),
    [
        ("Import", "import_"),
        ("Class", "class_"),
        ("_caller", "_caller_"),
        ("__Private", "_private"),
    ],
)
def test_methods_step_aside_for_python_and_their_bases(proto: str, python: str) -> None:
    assert method_name(proto) == python


def test_constants_carry_the_service() -> None:
    assert constant_name("Greeter", "SayHello") == "GREETER_SAY_HELLO"


def test_only_keywords_change_the_name_of_a_class() -> None:
    assert [class_name(name) for name in ("None", "class", "Service")] == [
        "None_",
        "class_",
        "Service",
    ]


@pytest.mark.parametrize(
    ("stem", "module"),
    [("my-api", "my_api"), ("1st", "_1st"), ("import", "import_"), ("a.b", "a_b"), ("ok", "ok")],
)
def test_folders_become_names_that_can_be_imported(stem: str, module: str) -> None:
    assert identifier(stem) == module


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True))
def test_every_method_name_is_an_identifier_that_python_leaves_alone(proto: str) -> None:
    name = method_name(proto)
    assert name.isidentifier()
    assert not name.startswith("__")


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,20}", fullmatch=True))
def test_snake_case_keeps_every_letter(name: str) -> None:
    assert snake(name).replace("_", "") == name.lower()


def test_an_unused_name_is_found_however_many_are_taken() -> None:
    assert unused("self", {"self", "_self"}, prefix="_", suffix="") == "__self"
