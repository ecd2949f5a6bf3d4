"""Rules of google.api.http: what they become, and what is refused."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from protoc_gen_kratos import DefinitionError, Options, Result

Generate = Callable[..., Result]

MESSAGES = """
message Inner { string name = 1; repeated string words = 2; }
message Request {
  string user_id = 1;
  Inner inner = 2;
  repeated string items = 3;
  map<string, string> labels = 4;
  google.protobuf.Timestamp at = 5;
  google.protobuf.StringValue note = 6;
  Kind kind = 7;
  repeated Inner inners = 8;
}
enum Kind { KIND_UNSPECIFIED = 0; }
message Reply { string text = 1; }
"""
HEADER = """syntax = "proto3";
package test.v1;
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
"""


def definition(*rules: str, rpc: str = "rpc Do(Request) returns (Reply)") -> dict[str, str]:
    """Return a definition whose rule stands in line 7."""
    body = " ".join(rules)
    text = f"{HEADER}service Test {{ {rpc} {{\n  option (google.api.http) = {{ {body} }};\n}} }}"
    return {"test/v1/test.proto": text + MESSAGES}


def typed(result: Result) -> str:
    return next(file.content for file in result.files if file.path.endswith("_kratos.py"))


def problems(generated: Generate, *rules: str) -> list[str]:
    with pytest.raises(DefinitionError) as refused:
        generated(definition(*rules))
    return [problem.text() for problem in refused.value.problems]


@pytest.mark.parametrize("verb", ["get", "put", "post", "delete", "patch"])
def test_every_verb_has_its_rule(generated: Generate, verb: str) -> None:
    result = generated(definition(f'{verb}: "/v1/do"'))
    assert f'HttpRule(verb="{verb.upper()}", path="/v1/do")' in typed(result)


def test_a_custom_verb_stays_as_written(generated: Generate) -> None:
    result = generated(definition('custom { kind: "Report" path: "/v1/do" } body: "*"'))
    assert 'HttpRule(verb="Report", path="/v1/do", body="*")' in typed(result)


def test_the_main_rule_comes_first_and_bindings_follow_in_order(generated: Generate) -> None:
    result = generated(
        definition(
            'get: "/v1/a"',
            'additional_bindings { post: "/v1/b" body: "inner" response_body: "text" }',
            'additional_bindings { custom { kind: "*" path: "/v1/c" } body: "*" }',
        )
    )
    assert (
        "    http=(\n"
        '        HttpRule(verb="GET", path="/v1/a"),\n'
        '        HttpRule(verb="POST", path="/v1/b", body="inner", response_body="text"),\n'
        '        HttpRule(verb="*", path="/v1/c", body="*"),\n'
        "    ),\n"
    ) in typed(result)


@pytest.mark.parametrize("length", range(60, 90))
def test_a_rule_of_any_length_is_a_tuple_of_one(generated: Generate, length: int) -> None:
    path = f"/{'a' * length}"
    tree = ast.parse(typed(generated(definition(f'get: "{path}"'))))
    (rules,) = (node for node in ast.walk(tree) if getattr(node, "arg", "") == "http")
    assert isinstance(rules, ast.keyword)
    assert ast.unparse(rules.value) == f"(HttpRule(verb='GET', path='{path}'),)"


def test_the_whole_reply_as_response_body_is_the_default(generated: Generate) -> None:
    result = generated(definition('post: "/v1/do" body: "*" response_body: "*"'))
    assert "response_body" not in typed(result)


def test_a_rule_without_a_pattern_is_a_post_of_the_operation(generated: Generate) -> None:
    result = generated(definition('body: "*"'))
    assert 'HttpRule(verb="POST", path="/test.v1.Test/Do", body="*")' in typed(result)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/{user_id}",
        "/v1/{inner.name}",
        "/v1/{inner.name=shelves/*}",
        "/v1/{user_id=**}",
        "/v1/{at}/{note}/{kind}",
        "/v1/{user_id}/x:cancel",
        "/v1/*/x",
    ],
)
def test_templates_are_kept_as_written(generated: Generate, path: str) -> None:
    assert f'path="{path}"' in typed(generated(definition(f'get: "{path}"')))


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ('get: "/v1/{userId}"', "has no field 'userId'; did you mean 'user_id'?"),
        ('get: "/v1/{inner.nam}"', "test.v1.Inner has no field 'nam'; did you mean 'name'?"),
        ('get: "/v1/{user_id.x}"', "looks for 'x' inside a field that is no message"),
        ('get: "/v1/{inners.name}"', "looks for 'name' inside a field that is no message"),
        ('get: "/v1/{inner}"', "is a test.v1.Inner, which no path can carry"),
        ('get: "/v1/{user_id"', "the variable is not closed"),
        ('get: "v1"', "must start with '/'"),
        ('post: "/v1" body: "inne"', "body: test.v1.Request has no field 'inne'"),
        ('post: "/v1" body: "inner.name"', "has no field 'inner.name'"),
        ('get: "/v1" response_body: "nope"', "response_body: test.v1.Reply has no field 'nope'"),
        ('custom { path: "/v1" }', "custom has no kind"),
        ('custom { kind: "A B" path: "/v1" }', "'A B' is no HTTP method"),
        (
            'get: "/a" additional_bindings { get: "/b" additional_bindings { get: "/c" } }',
            "additional_bindings cannot nest",
        ),
        (
            'get: "/a/{user_id}" additional_bindings { get: "/a/{kind=*}" }',
            "already the route of another rule of the method",
        ),
    ],
)
def test_a_wrong_rule_is_refused_with_its_line(generated: Generate, rule: str, reason: str) -> None:
    (problem,) = problems(generated, rule)
    assert problem.startswith("test/v1/test.proto:7: Test.Do: ")
    assert reason in problem


def test_all_problems_are_reported_together(generated: Generate) -> None:
    found = problems(generated, 'post: "/{nope}" body: "nope" response_body: "nope"')
    assert len(found) == 3


def test_two_methods_cannot_have_one_route(generated: Generate) -> None:
    text = (
        HEADER
        + """service Test {
  rpc First(Request) returns (Reply) {
    option (google.api.http) = { get: "/v1/{user_id}" };
  }
  rpc Second(Request) returns (Reply) {
    option (google.api.http) = { get: "/v1/{inner.name}" };
  }
}"""
        + MESSAGES
    )
    with pytest.raises(DefinitionError) as refused:
        generated({"test/v1/test.proto": text})
    assert str(refused.value) == (
        "test/v1/test.proto:11: Test.Second: GET /v1/{inner.name} is already the route of "
        "Test.First (line 8); change one of them"
    )


@pytest.mark.parametrize(
    ("rule", "warning"),
    [
        ('get: "/v1" body: "*"', "GET /v1 should not declare a body"),
        ('delete: "/v1" body: "*"', "DELETE /v1 should not declare a body"),
        ('post: "/v1"', "POST /v1 does not declare a body"),
        ('get: "/v1/"', "/v1/ should not end with '/'"),
        ('get: "/v1/{items}"', "path variable 'items' of /v1/{items} is a list"),
        ('get: "/v1/{labels}"', "path variable 'labels' of /v1/{labels} is a map"),
    ],
)
def test_what_works_but_is_hardly_meant_is_a_warning(
    generated: Generate, rule: str, warning: str
) -> None:
    (found,) = generated(definition(rule)).warnings
    assert found.text() == f"test/v1/test.proto:7: Test.Do: {warning}"


def test_a_client_stream_needs_no_body(generated: Generate) -> None:
    rpc = "rpc Do(stream Request) returns (Reply)"
    assert generated(definition('post: "/v1"', rpc=rpc)).warnings == ()


def test_methods_without_a_rule_are_left_to_grpc(generated: Generate) -> None:
    text = HEADER + "service Test { rpc Do(Request) returns (Reply); }" + MESSAGES
    assert "HttpRule" not in typed(generated({"a.proto": text}))


def test_omitempty_off_serves_unary_methods_without_a_rule(generated: Generate) -> None:
    text = HEADER + (
        "service Test { rpc Do(Request) returns (Reply);"
        "rpc Watch(Request) returns (stream Reply); }" + MESSAGES
    )
    options = Options(omit_empty=False, omit_empty_prefix="/api")
    content = typed(generated({"a.proto": text}, options))
    assert content.count("HttpRule(") == 1
    assert 'HttpRule(verb="POST", path="/api/test.v1.Test/Do")' in content


@pytest.mark.parametrize(
    ("rule", "idempotent"),
    [('get: "/v1"', True), ('post: "/v1" body: "*"', False), ('delete: "/v1"', False)],
)
def test_a_get_is_idempotent(generated: Generate, rule: str, idempotent: bool) -> None:
    assert ("idempotent=True" in typed(generated(definition(rule)))) is idempotent


@pytest.mark.parametrize(
    ("level", "idempotent"),
    [("NO_SIDE_EFFECTS", True), ("IDEMPOTENT", True), ("IDEMPOTENCY_UNKNOWN", False)],
)
def test_the_idempotency_level_counts(generated: Generate, level: str, idempotent: bool) -> None:
    text = (
        'syntax = "proto3"; message M {}'
        f"service S {{ rpc Do(M) returns (M) {{ option idempotency_level = {level}; }} }}"
    )
    assert ("idempotent=True" in typed(generated({"a.proto": text}))) is idempotent
