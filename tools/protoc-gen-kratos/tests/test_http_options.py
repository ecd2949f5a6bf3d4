"""Options of kratos/http.proto: what they become, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protoc_gen_kratos import DefinitionError, Result

Generate = Callable[..., Result]

HEADER = """syntax = "proto3";
package test.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
import "kratos/http.proto";
"""
MESSAGES = """
message Request {
  string name = 1;
  bytes data = 2;
  google.api.HttpBody file = 3;
  Inner inner = 4;
  repeated Inner inners = 5;
}
message Inner { string title = 1; int32 size = 2; }
message Reply { string text = 1; google.api.HttpBody file = 2; }
"""
UNARY = "rpc Do(Request) returns (Reply)"
POST = 'post: "/v1/do" body: "*"'


def definition(
    options: str, *, rpc: str = UNARY, rule: str = POST, service: str = ""
) -> dict[str, str]:
    """Return a definition whose options stand in line 8, those of the service in line 6."""
    lines = [
        f"service Test {{ {service}",
        f"{rpc} {{ option (google.api.http) = {{ {rule} }};",
        f"{options}",
        "} }",
    ]
    return {"test/v1/test.proto": HEADER + "\n".join(lines) + MESSAGES}


def method(options: str) -> str:
    return f"option (kratos.http) = {{ {options} }};"


def defaults(options: str) -> str:
    return f"option (kratos.http_defaults) = {{ {options} }};"


def record(result: Result) -> str:
    """Return the record of the only method."""
    text = next(file.content for file in result.files if file.path.endswith("_kratos.py"))
    return text[text.index("TEST_DO:") : text.index("class Test")]


def problems(generated: Generate, texts: dict[str, str]) -> list[str]:
    with pytest.raises(DefinitionError) as refused:
        generated(texts)
    return [problem.text() for problem in refused.value.problems]


def test_a_method_without_options_has_none(generated: Generate) -> None:
    assert "http_options" not in record(generated(definition("")))


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("timeout: 2.5", "HttpOptions(timeout=2.5)"),
        ("timeout: 0", "HttpOptions(timeout=0.0)"),
        ("max_body: 20971520", "HttpOptions(max_body=20971520)"),
        ("envelope: {}", "HttpOptions(envelope=HttpEnvelope())"),
        (
            'envelope: { success: 200 message: "" reason_key: "" data_key: "result" }',
            (
                "HttpOptions(\n        "
                'envelope=HttpEnvelope(success=200, message="", reason_key="", data_key="result")'
                "\n    )"
            ),
        ),
        ("multipart: {}", "HttpOptions(multipart=HttpMultipart())"),
        (
            'multipart: { max_parts: 3 filename: "name" }',
            'HttpOptions(multipart=HttpMultipart(max_parts=3, filename="name"))',
        ),
    ],
)
def test_options_go_into_the_record(generated: Generate, options: str, shown: str) -> None:
    assert f"    http_options={shown},\n" in record(generated(definition(method(options))))


def test_what_a_service_says_holds_for_its_methods(generated: Generate) -> None:
    result = generated(definition("", service=defaults("timeout: 3 envelope: {}")))
    assert "HttpOptions(timeout=3.0, envelope=HttpEnvelope())" in record(result)


def test_a_method_says_otherwise(generated: Generate) -> None:
    service = defaults("timeout: 3 envelope: {}")
    own = method("timeout: 4 envelope: { none: true }")
    assert "HttpOptions(timeout=4.0)" in record(generated(definition(own, service=service)))


@pytest.mark.parametrize(
    "rpc",
    ["rpc Do(Request) returns (stream Reply)", "rpc Do(stream Request) returns (Reply)"],
)
def test_what_a_service_says_holds_for_no_stream(generated: Generate, rpc: str) -> None:
    service = defaults("timeout: 3 envelope: {}")
    assert "http_options" not in record(generated(definition("", rpc=rpc, service=service)))


def test_the_envelope_of_a_service_leaves_raw_replies_alone(generated: Generate) -> None:
    rpc = "rpc Do(Request) returns (google.api.HttpBody)"
    result = generated(definition("", rpc=rpc, service=defaults("envelope: {}")))
    assert "http_options" not in record(result)


def test_a_method_that_http_does_not_serve_has_no_defaults(generated: Generate) -> None:
    text = f"{HEADER}service Test {{ {defaults('timeout: 3')} {UNARY}; }}{MESSAGES}"
    assert "http_options" not in record(generated({"test/v1/test.proto": text}))


@pytest.mark.parametrize(
    "rule",
    ['put: "/v1/{name}" body: "file"', 'put: "/v1/{name}" body: "data"'],
)
def test_an_upload_may_be_a_form(generated: Generate, rule: str) -> None:
    rpc = "rpc Do(stream Request) returns (Reply)"
    options = method('multipart: { filename: "name" }')
    assert "HttpMultipart" in record(generated(definition(options, rpc=rpc, rule=rule)))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("timeout: -1", "timeout is -1.0; write seconds"),
        ("timeout: inf", "timeout is inf; write seconds"),
        ("max_body: -1", "max_body is -1; write bytes"),
        ('envelope: { code_key: "" }', "only reason_key may be empty"),
        ('envelope: { code_key: "data" }', "two of its names are equal"),
        ('envelope: { data_key: "metadata" }', "or one is 'metadata'"),
        ("multipart: { max_parts: -1 }", "max_parts is -1"),
        ('multipart: { filename: "data" }', "filename 'data' names no string field"),
        ('multipart: { filename: "nope" }', "filename 'nope' names no string field"),
    ],
)
def test_wrong_values_are_refused_where_they_stand(
    generated: Generate, options: str, reason: str
) -> None:
    (problem,) = problems(generated, definition(method(options)))
    assert problem.startswith("test/v1/test.proto:8: Test.Do: ")
    assert reason in problem


def test_wrong_values_of_a_service_are_refused_where_they_stand(generated: Generate) -> None:
    texts = definition("", service=defaults("timeout: -1"))
    assert problems(generated, texts) == [
        "test/v1/test.proto:6: Test: timeout is -1.0; write seconds, or 0 for no limit"
    ]


@pytest.mark.parametrize(
    ("rpc", "rule", "options", "reason"),
    [
        (UNARY, 'get: "/v1"', "max_body: 1", "none of its rules has one"),
        (UNARY, 'get: "/v1"', "multipart: {}", "has a body for it: a message"),
        (UNARY, 'post: "/v1" body: "name"', "multipart: {}", "has a body for it: a message"),
        (UNARY, 'post: "/v1" body: "file"', "multipart: {}", "has a body for it: a message"),
        (UNARY, 'post: "/v1" body: "inners"', "multipart: {}", "has a body for it: a message"),
        (
            UNARY,
            'post: "/v1" body: "inner"',
            'multipart: { filename: "name" }',
            "names no string field",
        ),
        (
            "rpc Do(stream Request) returns (Reply)",
            POST,
            "multipart: {}",
            "names a field of bytes or google.api.HttpBody as body",
        ),
        (
            "rpc Do(Request) returns (stream Reply)",
            POST,
            "envelope: {}",
            "envelope: streams have none",
        ),
        (
            UNARY,
            'post: "/v1" body: "*" response_body: "file"',
            "envelope: {}",
            "is sent as it is",
        ),
    ],
)
def test_options_that_fit_no_rule_are_refused(
    generated: Generate, rpc: str, rule: str, options: str, reason: str
) -> None:
    (problem,) = problems(generated, definition(method(options), rpc=rpc, rule=rule))
    assert problem.startswith("test/v1/test.proto:8: Test.Do: ")
    assert reason in problem


def test_options_without_a_rule_are_refused(generated: Generate) -> None:
    text = f"{HEADER}service Test {{ {UNARY} {{ {method('timeout: 1')} }} }}{MESSAGES}"
    (problem,) = problems(generated, {"test/v1/test.proto": text})
    assert "it has no google.api.http rule" in problem


def test_generated_options_load(
    generated: Generate,
    written: Callable[[Result, Path], Path],
    python: Callable[..., str],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "out" / "made"
    written(generated(definition(method("timeout: 2 envelope: {} multipart: {}"))), folder)
    program = (
        "from made.test.v1.test_kratos import TEST_DO\n"
        "print(TEST_DO.http_options.timeout, TEST_DO.http_options.envelope.code_key)"
    )
    assert python(program, folder.parent) == "2.0 code\n"
