"""Rules that definitions should keep: each is broken where a comment says so, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from protoc_gen_kratos.lint import KRATOS_RULES, RULES, STYLE_RULES, check

Compiled = Callable[[Path, list[str]], bytes]

WRONG = {
    "shop/v1/style.proto": """syntax = "proto3";
package shop.v1;
enum bad_name { BAD_NAME_UNSPECIFIED = 0; }  // ENUM_PASCAL_CASE
enum Color {
  GREY = 0;  // ENUM_VALUE_PREFIX ENUM_ZERO_VALUE_SUFFIX
  COLOR_red = 1;  // ENUM_VALUE_UPPER_SNAKE_CASE
}
enum Size {
  option allow_alias = true;  // ENUM_NO_ALLOW_ALIAS
  SIZE_UNSPECIFIED = 0;
  SIZE_BIG = 1;
  SIZE_HUGE = 1;
}
message order {  // MESSAGE_PASCAL_CASE
  string someName = 1;  // FIELD_LOWER_SNAKE_CASE
  oneof Payment {  // ONEOF_LOWER_SNAKE_CASE
    string card = 2;
  }
  map<string, string> labels = 3;
  optional string note = 4;
}
service orders {  // SERVICE_PASCAL_CASE
  rpc get_order(order) returns (order);  // RPC_PASCAL_CASE
}
""",
    "shop/v1/old.proto": """syntax = "proto2";
package shop.v1;
enum Late {
  LATE_FIRST = 1;  // ENUM_FIRST_VALUE_ZERO
}
""",
    "shop/v1/BadFile.proto": """syntax = "proto3";  // FILE_LOWER_SNAKE_CASE
package shop.v1;
""",
    "nowhere.proto": """syntax = "proto3";  // PACKAGE_DEFINED
""",
    "other/place.proto": """syntax = "proto3";
package Bad.plACE;  // PACKAGE_DIRECTORY_MATCH PACKAGE_LOWER_SNAKE_CASE PACKAGE_VERSION_SUFFIX
""",
    "shop/v1/paths.proto": """syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
message Key { string id = 1; }
service Paths {
  rpc Get(Key) returns (Key) {
    option (google.api.http) = { get: "/v1/keys/{nope}" };  // HTTP_RULE
  }
  rpc Put(Key) returns (Key) {
    option (google.api.http) = { put: "/v1/keys/{id}" };  // HTTP_STYLE
  }
  rpc Find(Key) returns (Key) { option (google.api.http) = { get: "/v1/found/{id}" }; }
}
""",
    "shop/v1/routes.proto": """syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "shop/v1/paths.proto";
service Routes {
  rpc Look(Key) returns (Key) {
    option (google.api.http) = { get: "/v1/found/{id}" };  // HTTP_ROUTE_CLASH
  }
}
""",
    "shop/v1/reasons.proto": """syntax = "proto3";
package shop.v1;
import "errors/errors.proto";
enum Reason {
  FOUND = 0 [(errors.code) = 200];  // ERROR_CODE_IS_FAILURE
  STRANGE = 1 [(errors.code) = 4040];  // ERROR_CODE_RANGE
  MISSING = 2 [(errors.code) = 404];
}
message Holder {
  enum Inner { LOST = 0 [(errors.code) = 404]; }  // ERROR_ENUM_TOP_LEVEL
}
""",
    "user/v1/reasons.proto": """syntax = "proto3";
package user.v1;
import "errors/errors.proto";
enum Reason {
  MISSING = 0 [(errors.code) = 409];  // ERROR_REASON_CLASH
}
""",
}
RIGHT = """syntax = "proto3";
package shop.v1;
// buf:lint:ignore ENUM_PASCAL_CASE
// buf:lint:ignore ENUM_VALUE_PREFIX
enum bad_name {
  // kratos:lint:ignore ENUM_ZERO_VALUE_SUFFIX
  NOTHING = 0;
  OTHER = 1;
}
message Order {
  string name = 1;
}
"""
COMPLETE = re.compile(r"// ((?:[A-Z_]+ ?)+)$")


def expected() -> set[tuple[str, int, str]]:
    return {
        (name, number, rule)
        for name, text in WRONG.items()
        for number, line in enumerate(text.splitlines(), start=1)
        for told in COMPLETE.findall(line)
        for rule in told.split()
    }


@pytest.fixture
def wrong(compiled: Compiled, tmp_path: Path) -> bytes:
    """The descriptors of all wrong examples."""
    for name, text in WRONG.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return compiled(tmp_path, list(WRONG))


def test_every_rule_is_broken_somewhere() -> None:
    assert {rule for _, _, rule in expected()} == set(RULES)
    assert set(RULES) == {*STYLE_RULES, *KRATOS_RULES}


def test_each_wrong_example_is_found_at_its_line(wrong: bytes) -> None:
    found = check(wrong, list(WRONG))
    whole_files = {(one.file, one.line or 1, one.rule) for one in found}
    assert whole_files == expected()
    assert len(found) == len(whole_files)


def test_a_finding_tells_where_it_begins_and_ends(wrong: bytes) -> None:
    (found,) = check(wrong, ["shop/v1/style.proto"], rules=["FIELD_LOWER_SNAKE_CASE"])
    assert found.as_json({found.file: "api/style.proto"}) == {
        "file": "api/style.proto",
        "line": 15,
        "column": 10,
        "end_line": 15,
        "end_column": 18,
        "rule": "FIELD_LOWER_SNAKE_CASE",
        "message": "someName: a field is called in lower_snake_case; rename it",
    }
    assert found.text().startswith("shop/v1/style.proto:15:10: someName: ")
    (route,) = check(wrong, list(WRONG), rules=["HTTP_ROUTE_CLASH"])
    assert (route.line, route.column) == (7, 5)
    assert "already the route of shop.v1.Paths/Find (shop/v1/paths.proto:12)" in route.message


def test_only_what_is_asked_for_is_checked(wrong: bytes) -> None:
    assert check(wrong, ["shop/v1/old.proto"], rules=["PACKAGE_DEFINED"]) == []
    assert {one.file for one in check(wrong, ["nowhere.proto"])} == {"nowhere.proto"}


def test_a_comment_allows_what_it_stands_before(compiled: Compiled, tmp_path: Path) -> None:
    (tmp_path / "shop/v1").mkdir(parents=True)
    (tmp_path / "shop/v1/right.proto").write_text(RIGHT, encoding="utf-8")
    assert check(compiled(tmp_path, ["shop/v1/right.proto"]), ["shop/v1/right.proto"]) == []
