"""Stubs of messages."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from protoc_gen_kratos import Result

Generate = Callable[..., Result]


def stub(result: Result) -> str:
    return next(file.content for file in result.files if file.path.endswith(".pyi"))


def generated_stub(generated: Generate, body: str, syntax: str = "proto3") -> str:
    return stub(generated({"test.proto": f'syntax = "{syntax}";\npackage test;\n{body}'}))


def class_body(text: str, name: str) -> list[str]:
    tree = ast.parse(text)
    found = next(
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name
    )
    return [ast.unparse(node) for node in found.body]


def test_comments_become_docstrings(generated: Generate) -> None:
    text = generated_stub(
        generated,
        """// A thing.
message Thing {
  // Its name.
  string name = 1;
  string color = 2;  // Its color.
  // Its owner.
  Thing owner = 3;
}""",
    )
    assert 'class Thing(_Message):\n    """A thing."""' in text
    assert '    name: str\n    """Its name."""' in text
    assert '    color: str\n    """Its color."""' in text
    assert 'def owner(self) -> Thing:\n        """Its owner."""' in text


@pytest.mark.parametrize(
    ("field", "attribute", "keyword"),
    [
        ("int64 f = 1;", "f: int", "int | None"),
        ("double f = 1;", "f: float", "float | None"),
        ("bytes f = 1;", "f: bytes", "bytes | None"),
        ("Color f = 1;", "f: Color", "Color | str | None"),
        ("Other f = 1;", "-> Other:", "Other | _Mapping[str, _Any] | None"),
        (
            "repeated Other f = 1;",
            "-> _RepeatedCompositeFieldContainer[Other]:",
            "_Iterable[Other | _Mapping[str, _Any]] | None",
        ),
        (
            "repeated Color f = 1;",
            "-> _RepeatedScalarFieldContainer[Color]:",
            "_Iterable[Color | str] | None",
        ),
        ("map<int32, bool> f = 1;", "-> _ScalarMap[int, bool]:", "_Mapping[int, bool] | None"),
        (
            "map<string, Other> f = 1;",
            "-> _MessageMap[str, Other]:",
            "_Mapping[str, Other | _Mapping[str, _Any]] | None",
        ),
    ],
)
def test_fields_are_typed_for_reading_and_for_the_constructor(
    generated: Generate, field: str, attribute: str, keyword: str
) -> None:
    body = f"message M {{ {field} }} message Other {{}} enum Color {{ RED = 0; }}"
    text = generated_stub(generated, body)
    assert attribute in text
    assert f"f: {keyword} = ..." in text


def test_names_of_fields_are_literals(generated: Generate) -> None:
    body = "message M { string a = 1; optional int32 b = 2; oneof c { M d = 3; int32 e = 4; } }"
    members = class_body(generated_stub(generated, body), "M")
    assert (
        "def HasField(self, field_name: _Literal['b', 'd', 'e', 'c']) -> bool:\n    ..." in members
    )
    assert (
        "def ClearField(self, field_name: _Literal['a', 'b', 'd', 'e', 'c']) -> None:\n    ..."
        in members
    )
    assert (
        "def WhichOneof(self, oneof_group: _Literal['c']) -> _Literal['d', 'e'] | None:\n    ..."
        in members
    )


def test_a_presence_of_proto3_is_no_oneof(generated: Generate) -> None:
    text = generated_stub(generated, "message M { optional int32 a = 1; }")
    assert "WhichOneof" not in text


def test_several_oneofs_are_overloads(generated: Generate) -> None:
    body = "message M { oneof a { int32 b = 1; } oneof c { int32 d = 2; } }"
    assert generated_stub(generated, body).count("@_overload") == 2


def test_a_field_that_hides_a_builtin_makes_the_file_spell_it_out(generated: Generate) -> None:
    text = generated_stub(generated, "message M { string str = 1; int32 size = 2; }")
    assert "str: _builtins.str" in text
    assert "size: int" in text


def test_a_field_that_hides_its_type_leaves_the_type_another_name(generated: Generate) -> None:
    text = generated_stub(generated, "message Status { Status Status = 1; }")
    assert "def Status(self) -> _Status: ..." in text
    assert "_Status: _TypeAlias = Status" in text


def test_fields_that_python_cannot_spell_are_keywords_of_the_constructor(
    generated: Generate,
) -> None:
    members = class_body(
        generated_stub(generated, "message M { string from = 1; string to = 2; }"), "M"
    )
    assert "def __init__(self, *, to: str | None=..., **kwargs: _Any) -> None:\n    ..." in members
    assert not any(member.startswith("from") for member in members)


def test_fields_called_like_methods_of_messages_are_left_out(generated: Generate) -> None:
    members = class_body(generated_stub(generated, "message M { int32 ByteSize = 1; }"), "M")
    assert not any(member.startswith("ByteSize") for member in members)


def test_messages_and_enums_called_like_keywords_get_an_underscore(generated: Generate) -> None:
    body = "message None { None None = 1; enum class { pass = 0; } }"
    tree = ast.parse(generated_stub(generated, body))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    assert {"None_", "class_"} <= names


def test_extensions_know_what_they_extend(generated: Generate) -> None:
    body = "message M { extensions 100 to 200; } extend M { repeated int32 numbers = 100; }"
    text = generated_stub(generated, body, "proto2")
    assert "numbers: _ExtensionFieldDescriptor[M, _RepeatedScalarFieldContainer[int]]" in text
    assert "NUMBERS_FIELD_NUMBER: _Final = 100" in text


def test_native_values_are_accepted_where_protobuf_converts_them(generated: Generate) -> None:
    text = generated_stub(
        generated,
        'import "google/protobuf/timestamp.proto"; message M { google.protobuf.Timestamp at = 1; }',
    )
    assert "at: _timestamp_pb2.Timestamp | _datetime | _Mapping[str, _Any] | None = ..." in text
    assert "def at(self, value: _datetime) -> None: ..." in text


def test_lines_keep_to_the_width(zoo: tuple[bytes, list[str]]) -> None:
    from protoc_gen_kratos import generate

    long = [
        line
        for file in generate(*zoo).files
        for line in file.content.splitlines()
        if len(line.partition("  # type: ignore")[0]) > 100 and "_serialized_options" not in line
    ]
    assert long == []
