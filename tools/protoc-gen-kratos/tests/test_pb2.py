"""Modules of messages: what protoc's own Python output does, for every import there is."""

from __future__ import annotations

import ast
import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from protoc_gen_kratos import Options, Result, generate

Generate = Callable[..., Result]
Compile = Callable[[Path, list[str]], bytes]
Protoc = Callable[..., str]
Python = Callable[..., str]
Write = Callable[[Result, Path], Path]

ZOO = Path(__file__).parent / "zoo"


def registered(module: str) -> tuple[bytes, dict[str, Any]]:
    """Return the descriptor that a module registers, and what it tells the pure runtime."""
    data = b""
    patches: dict[str, Any] = {}
    for node in ast.walk(ast.parse(module)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("AddSerializedFile"):
            data = ast.literal_eval(node.args[0])
        elif isinstance(node, ast.If):
            for statement in node.body:
                assert isinstance(statement, ast.Assign)
                target = ast.unparse(statement.targets[0])
                target = target.replace("_globals['DESCRIPTOR']", "DESCRIPTOR")
                patches[target] = ast.literal_eval(statement.value)
    return data, patches


def module_of(result: Result, path: str) -> str:
    return next(file.content for file in result.files if file.path == path)


def test_protoc_registers_the_same_bytes(
    zoo: tuple[bytes, list[str]], protoc: Protoc, tmp_path: Path
) -> None:
    descriptor_set, names = zoo
    result = generate(descriptor_set, names)
    protoc(ZOO, names, f"--python_out={tmp_path}")
    for name in names:
        path = name.replace(".proto", "_pb2.py")
        theirs = (tmp_path / path).read_text(encoding="utf-8")
        assert registered(module_of(result, path)) == registered(theirs), name


def test_options_of_source_retention_are_left_out(
    generated: Generate, protoc: Protoc, tmp_path: Path
) -> None:
    text = """syntax = "proto2";
import "google/protobuf/descriptor.proto";
message Note { optional string text = 1; optional string secret = 2 [retention = RETENTION_SOURCE]; }
extend google.protobuf.FieldOptions {
  optional string gone = 50001 [retention = RETENTION_SOURCE];
  optional Note note = 50002;
}
message M {
  optional string a = 1 [(gone) = "x"];
  optional string b = 2 [(gone) = "x", (note) = { text: "stays" secret: "goes" }];
  extensions 100 to 200 [declaration = { number: 100 full_name: ".e" type: ".M" }];
}
"""
    result = generated({"retention.proto": text})
    protoc(tmp_path / "definitions", ["retention.proto"], f"--python_out={tmp_path}")
    theirs = (tmp_path / "retention_pb2.py").read_text(encoding="utf-8")
    ours = module_of(result, "retention_pb2.py")
    assert registered(ours) == registered(theirs)
    assert b"goes" not in registered(ours)[0]


def test_the_guard_asks_for_the_oldest_supported_runtime(generated: Generate) -> None:
    module = module_of(generated({"a.proto": 'syntax = "proto3";'}), "a_pb2.py")
    assert '_runtime_version.Domain.PUBLIC, 6, 31, 0, "", "a.proto"' in module


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_the_zoo_imports_and_works(
    zoo: tuple[bytes, list[str]],
    written: Write,
    python: Python,
    tmp_path: Path,
    implementation: str,
) -> None:
    written(generate(*zoo), tmp_path / "deep" / "zoo")
    program = """
import pickle
from datetime import datetime, timedelta, timezone
from zoo import edition_pb2
from zoo.lang.v1 import words_kratos, words_pb2
from zoo.old import base_kratos, base_pb2, public_pb2, user_pb2
from zoo.shop.v1 import errors_kratos, order_kratos, order_pb2

order = order_pb2.Order(
    name="orders/1", state="STATE_OPEN", lines=[{"sku": "a", "parts": [{"sku": "b"}]}],
    by_sku={"a": {"count": 2}}, created=datetime(2026, 1, 1, tzinfo=timezone.utc),
    wait=timedelta(seconds=3), details={"a": 1}, tags=[1, "b"], nothing={"flag": 4})
assert pickle.loads(pickle.dumps(order)) == order
assert type(order).__module__ == "zoo.shop.v1.order_pb2"
assert order.DESCRIPTOR.fields_by_name["total"].GetOptions().deprecated
assert order.DESCRIPTOR.fields_by_name["renamed"].json_name == "other_name"
assert words_pb2.None_ is getattr(words_pb2, "None")
assert words_pb2.None_.class_ is getattr(words_pb2.None_, "class")
assert words_pb2.None_.pass_.Value("True") == words_pb2.None_.True_ == 0
assert words_pb2.from_ == 0 and words_pb2.import_.Name(1) == "async"
assert getattr(words_pb2.Words(**{"from": "x"}), "from") == "x"
base = base_pb2.Base(id=1)
base.Extensions[base_pb2.label] = "x"
base.Extensions[base_pb2.lambda_] = base_pb2.HIGH
base.Extensions[base_pb2.Base.nested].id = 2
assert base_pb2.Base.FromString(base.SerializeToString()) == base
assert base.DESCRIPTOR.GetOptions().Extensions[base_pb2.table] == "base"
assert public_pb2.Base is base_pb2.Base and user_pb2.User(base=base).base == base
assert base.text == 'a"b\\\\c\\n' and base.level == base_pb2.HIGH
assert edition_pb2.Modern(explicit=0).HasField("explicit")
assert not order_kratos.Orders.METHODS[0].request().HasField("order")
assert base_pb2.Legacy.DESCRIPTOR.name == "Legacy"
"""
    python(
        program, tmp_path / "deep", PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation
    )


def test_a_package_imports_from_a_nested_path_and_from_a_zip(
    zoo: tuple[bytes, list[str]], written: Write, python: Python, tmp_path: Path
) -> None:
    written(generate(*zoo), tmp_path / "a" / "outer" / "inner" / "zoo")
    program = "from outer.inner.zoo.shop.v1 import order_kratos as o; print(o.Orders.__name__)"
    assert python(program, tmp_path / "a") == "Orders\n"
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "a")
    assert python(program, Path(archive)) == "Orders\n"


def test_modules_at_the_top_can_be_on_the_import_path_themselves(
    zoo: tuple[bytes, list[str]], written: Write, python: Python, tmp_path: Path
) -> None:
    written(generate(*zoo, options=Options(absolute_root=True)), tmp_path / "out")
    (tmp_path / "out" / "__init__.py").unlink()
    program = "import edition_pb2; from shop.v1 import order_kratos; print('fine')"
    assert python(program, tmp_path / "out") == "fine\n"


def test_output_does_not_depend_on_order_or_on_what_is_loaded(
    zoo: tuple[bytes, list[str]],
) -> None:
    descriptor_set, names = zoo
    first = generate(descriptor_set, names)
    for options in ("google.api.annotations_pb2", "kratos.errors.errors_pb2"):
        importlib.import_module(options)
    assert generate(descriptor_set, list(reversed(names))) == first


OPTION = """syntax = "proto3";
package third;
import "google/protobuf/descriptor.proto";
extend google.protobuf.FieldOptions { string rule = 50003; }
message Type { int32 x = 1; }
"""


@pytest.mark.parametrize("alone", [True, False])
def test_imports_for_options_alone_are_kept_only_with_their_module(
    compiled: Compile, tmp_path: Path, alone: bool
) -> None:
    user = 'syntax = "proto3"; import "third.proto"; message M { int32 a = 1 [(third.rule) = "x"]; }'
    (tmp_path / "third.proto").write_text(OPTION)
    (tmp_path / "user.proto").write_text(user)
    names = ["user.proto"] if alone else ["third.proto", "user.proto"]
    result = generate(compiled(tmp_path, ["user.proto"]), names)
    assert result.assumptions == ()
    assert ("third_pb2" in module_of(result, "user_pb2.py")) is not alone


def test_an_import_for_types_is_assumed_to_lie_in_the_same_tree(
    compiled: Compile, tmp_path: Path
) -> None:
    (tmp_path / "third.proto").write_text(OPTION)
    user = 'syntax = "proto3";\nimport "third.proto";\nmessage M { third.Type t = 1; }'
    (tmp_path / "user.proto").write_text(user)
    (assumed,) = generate(compiled(tmp_path, ["user.proto"]), ["user.proto"]).assumptions
    assert (assumed.file, assumed.line) == ("user.proto", 2)
    assert (assumed.imported, assumed.path) == ("third.proto", "third_pb2.py")


def test_a_named_module_stands_for_its_definition(compiled: Compile, tmp_path: Path) -> None:
    (tmp_path / "third.proto").write_text(OPTION)
    user = 'syntax = "proto3"; import "third.proto"; message M { third.Type t = 1; }'
    (tmp_path / "user.proto").write_text(user)
    options = Options(modules={"third.proto": "vendor.third_pb2"})
    result = generate(
        compiled(tmp_path, ["user.proto"]), ["third.proto", "user.proto"], options=options
    )
    assert [file.path for file in result.files] == ["user_pb2.py", "user_pb2.pyi"]
    assert "from vendor import third_pb2" in module_of(result, "user_pb2.py")
    assert result.assumptions == ()


def test_what_comes_installed_is_never_generated(compiled: Compile, tmp_path: Path) -> None:
    text = 'syntax = "proto3"; import "errors/errors.proto"; import "google/api/http.proto";'
    text += "message M { errors.Status s = 1; google.api.Http h = 2; }"
    (tmp_path / "user.proto").write_text(text)
    names = ["errors/errors.proto", "google/api/http.proto", "user.proto"]
    result = generate(compiled(tmp_path, ["user.proto"]), names)
    module = module_of(result, "user_pb2.py")
    assert {file.path for file in result.files} == {"user_pb2.py", "user_pb2.pyi"}
    assert "from kratos.errors import errors_pb2" in module
    assert "from google.api import http_pb2" in module
