"""What a change takes from users: each loss is found where a comment in the new state says so."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from protoc_gen_kratos.breaking import BUF_RULES, KRATOS_RULES, RULES, compare
from protoc_gen_kratos.findings import Finding

Compiled = Callable[[Path, list[str]], bytes]

OLD = {
    "shop/v1/messages.proto": """syntax = "proto3";
package shop.v1;
message Order {
  string gone = 1;
  string name = 2;
  string renamed = 3;
  int32 retyped = 4;
  string many = 5;
  string other_json = 6;
  oneof payment { string card = 7; }
  Inner inner = 8;
  map<string, int32> labels = 9;
  message Inner {}
  message Lost {}
  enum State { STATE_UNSPECIFIED = 0; }
}
message Away {}
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; }
enum Dropped { DROPPED_UNSPECIFIED = 0; }
""",
    "shop/v1/services.proto": """syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
message A {}
message B {}
service Shop {
  rpc Gone(A) returns (A);
  rpc Asked(A) returns (A);
  rpc Told(A) returns (A);
  rpc Up(A) returns (A);
  rpc Down(A) returns (stream A);
  rpc Served(A) returns (A) {
    option (google.api.http) = { get: "/v1/a" additional_bindings { post: "/v1/b" body: "*" } };
  }
}
service Closed { rpc Get(A) returns (A); }
""",
    "shop/v1/reasons.proto": """syntax = "proto3";
package shop.v1;
import "errors/errors.proto";
enum Reason {
  option (errors.default_code) = 500;
  UNKNOWN = 0;
  MISSING = 1 [(errors.code) = 404];
}
""",
    "shop/v1/moved.proto": 'syntax = "proto3"; package shop.v1; message M {}',
    "shop/v1/removed.proto": 'syntax = "proto3"; package shop.v1;',
}
NEW = {
    "shop/v1/messages.proto": """syntax = "proto3";
package shop.v1;
message Order {  // FIELD_NO_DELETE FIELD_NO_DELETE MESSAGE_NO_DELETE ENUM_NO_DELETE
  string name = 20;
  string new_name = 3;  // FIELD_SAME_NAME FIELD_SAME_JSON_NAME
  string retyped = 4;  // FIELD_SAME_TYPE
  repeated string many = 5;  // FIELD_SAME_CARDINALITY
  string other_json = 6 [json_name = "another"];  // FIELD_SAME_JSON_NAME
  string card = 7;  // FIELD_SAME_ONEOF FIELD_SAME_CARDINALITY
  Inner inner = 8;
  map<string, int32> labels = 9;
  message Inner {}
  string added = 10;
}
enum Color {  // ENUM_VALUE_NO_DELETE
  COLOR_UNSPECIFIED = 0;
  COLOR_CRIMSON = 1;  // ENUM_VALUE_SAME_NAME
  COLOR_GREEN = 3;
}
// Whole definition: MESSAGE_NO_DELETE ENUM_NO_DELETE
""",
    "shop/v1/services.proto": """syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
message A {}
message B {}
service Shop {  // RPC_NO_DELETE
  rpc Asked(B) returns (A);  // RPC_SAME_REQUEST_TYPE
  rpc Told(A) returns (B);  // RPC_SAME_RESPONSE_TYPE
  rpc Up(stream A) returns (A);  // RPC_SAME_CLIENT_STREAMING
  rpc Down(A) returns (A);  // RPC_SAME_SERVER_STREAMING
  rpc Served(A) returns (A) {  // HTTP_RULE_NO_DELETE
    option (google.api.http) = { get: "/v1/a" additional_bindings { post: "/v2/b" body: "*" } };
  }
}
// Whole definition: SERVICE_NO_DELETE
""",
    "shop/v1/reasons.proto": """syntax = "proto3";
package shop.v1;
import "errors/errors.proto";
enum Reason {
  option (errors.default_code) = 503;
  UNKNOWN = 0;  // ERROR_SAME_CODE
  MISSING = 1 [(errors.code) = 404];
  ADDED = 2;
}
""",
    "shop/v1/moved.proto": """syntax = "proto3";
package shop.v2;  // FILE_SAME_PACKAGE
message M {}
""",
}
TOLD = re.compile(r"// (Whole definition: )?((?:[A-Z_]+ ?)+)$")


def expected() -> list[tuple[str, int, str]]:
    found = [("shop/v1/removed.proto", 0, "FILE_NO_DELETE")]
    for name, text in NEW.items():
        for number, line in enumerate(text.splitlines(), start=1):
            for whole, rules in TOLD.findall(line):
                found += [(name, 0 if whole else number, rule) for rule in rules.split()]
    return sorted(found)


@pytest.fixture
def state(compiled: Compiled, tmp_path: Path) -> Callable[[str, Mapping[str, str]], bytes]:
    """Compile a state of the definitions."""

    def make(folder: str, texts: Mapping[str, str]) -> bytes:
        for name, text in texts.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return compiled(tmp_path / folder, list(texts))

    return make


def places(found: list[Finding]) -> list[tuple[str, int, str]]:
    return sorted((one.file, one.line, one.rule) for one in found)


def test_every_rule_is_broken_somewhere() -> None:
    assert {rule for _, _, rule in expected()} == set(RULES) == {*BUF_RULES, *KRATOS_RULES}


def test_each_loss_is_found_at_its_line(state: Callable[..., bytes]) -> None:
    old, new = state("old", OLD), state("new", NEW)
    found = compare(old, new, list(OLD))
    assert places(found) == expected()
    told = {one.message for one in found}
    assert "field name of Order had the number 2, and has 20; give it back" in told
    assert "field 4 of Order had the type int32, and has string; change it back" in told
    assert "error UNKNOWN had the code 500, and has 503; change it back" in told
    assert "Shop.Down had a stream, not one reply, and has one reply; change it back" in told
    assert (
        "Shop.Served was served at POST /v1/b with body *, and is no more; keep it as an "
        "additional_binding"
    ) in told
    assert compare(old, new, list(OLD), rules=["FILE_NO_DELETE"]) == [
        one for one in found if one.rule == "FILE_NO_DELETE"
    ]
    assert compare(old, old, list(OLD)) == []
