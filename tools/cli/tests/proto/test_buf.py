"""Rules that have buf's names mean what they mean to buf: it finds the same, at the same places."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from kratos_cli.proto.buf import buf_breaking, buf_lint, chosen_buf
from kratos_cli.proto.compiler import compile_definitions
from kratos_cli.proto.inputs import find_inputs
from protoc_gen_kratos.breaking import BUF_RULES, compare
from protoc_gen_kratos.findings import Finding
from protoc_gen_kratos.lint import STYLE_RULES, check

Write = Callable[[Mapping[str, str]], None]

WRONG = {
    "api/shop/v1/style.proto": """syntax = "proto3";
package shop.v1;
import "errors/errors.proto";
enum bad_name { BAD_NAME_UNSPECIFIED = 0; }
enum Color { GREY = 0; COLOR_red = 1; }
enum Size { option allow_alias = true; SIZE_UNSPECIFIED = 0; SIZE_BIG = 1; SIZE_HUGE = 1; }
enum Reason { option (errors.default_code) = 500; MISSING = 0; lost = 1; }
message order {
  string someName = 1;
  oneof Payment { string card = 2; }
  map<string, string> labels = 3;
  optional string note = 4;
  message inner { string innerName = 1; enum Kind { ANY = 0; } }
}
service orders { rpc get_order(order) returns (order); }
""",
    "api/shop/v1/old.proto": 'syntax = "proto2"; package shop.v1; enum Late { LATE_FIRST = 1; }',
    "api/shop/v1/BadFile.proto": 'syntax = "proto3"; package shop.v1;',
    "api/nowhere.proto": 'syntax = "proto3";',
    "api/other/place.proto": 'syntax = "proto3"; package Bad.plACE;',
}
OLD = """syntax = "proto3";
package shop.v1;
message Order {
  string name = 1;
  string renamed = 2;
  int32 retyped = 3;
  string many = 4;
  string other_json = 5;
  oneof payment { string card = 6; }
  enum State { STATE_UNSPECIFIED = 0; STATE_OPEN = 1; }
}
message Reply {}
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; }
service Shop {
  rpc Asked(Order) returns (Reply);
  rpc Told(Order) returns (Reply);
  rpc Up(Order) returns (Reply);
  rpc Down(Order) returns (stream Reply);
  rpc Gone(Order) returns (Reply);
}
"""
NEW = """syntax = "proto3";
package shop.v1;
message Order {
  string name = 10;
  string new_name = 2;
  string retyped = 3;
  repeated string many = 4;
  string other_json = 5 [json_name = "another"];
  string card = 6;
  enum State { STATE_UNSPECIFIED = 0; STATE_SHUT = 1; }
}
message Reply {}
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; }
service Shop {
  rpc Asked(Reply) returns (Reply);
  rpc Told(Order) returns (Order);
  rpc Up(stream Order) returns (Reply);
  rpc Down(Order) returns (Reply);
}
"""


@pytest.fixture
def buf() -> str:
    found = chosen_buf("auto")
    if found is None:
        pytest.skip("there is no buf; pip install buf-bin")
    return found


def compiled(folder: str) -> tuple[bytes, list[str]]:
    inputs = find_inputs([folder], [folder])
    names = list(inputs.paths)
    return compile_definitions(names, inputs), names


def places(found: list[Finding], *known: str) -> set[tuple[str, int, str]]:
    return {(one.file, one.line, one.rule) for one in found if one.rule in known}


@pytest.mark.slow
def test_lint_finds_what_buf_finds(write: Write, buf: str) -> None:
    write(WRONG)
    data, names = compiled("api")
    theirs = places(buf_lint(buf, data, names), *STYLE_RULES)
    # What is about a whole file has no line here, and the first one there.
    ours = {
        (file, line or 1, rule) for file, line, rule in places(check(data, names), *STYLE_RULES)
    }
    assert ours == {(file, line or 1, rule) for file, line, rule in theirs}
    assert {rule for _, _, rule in ours} == set(STYLE_RULES)


@pytest.mark.slow
def test_breaking_finds_what_buf_finds(write: Write, buf: str) -> None:
    write({"old/shop/v1/shop.proto": OLD, "new/shop/v1/shop.proto": NEW})
    (old, names), (new, _) = compiled("old"), compiled("new")
    theirs = places(buf_breaking(buf, old, new, names), *BUF_RULES)
    assert places(compare(old, new, names), *BUF_RULES) == theirs
    assert len({rule for _, _, rule in theirs}) >= 12
