"""``kratos proto add``: what Go writes, where Go writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kratos_cli.main import main
from protoc_gen_kratos.naming import upper_camel

Write = Callable[[Mapping[str, str]], None]

DEMO = """syntax = "proto3";

package api.helloworld.v1;

option go_package = "{module}api/helloworld/v1;v1";
option java_multiple_files = true;
option java_package = "api.helloworld.v1";

service Demo {{
  rpc CreateDemo (CreateDemoRequest) returns (CreateDemoReply);
  rpc UpdateDemo (UpdateDemoRequest) returns (UpdateDemoReply);
  rpc DeleteDemo (DeleteDemoRequest) returns (DeleteDemoReply);
  rpc GetDemo (GetDemoRequest) returns (GetDemoReply);
  rpc ListDemo (ListDemoRequest) returns (ListDemoReply);
}}

message CreateDemoRequest {{}}
message CreateDemoReply {{}}

message UpdateDemoRequest {{}}
message UpdateDemoReply {{}}

message DeleteDemoRequest {{}}
message DeleteDemoReply {{}}

message GetDemoRequest {{}}
message GetDemoReply {{}}

message ListDemoRequest {{}}
message ListDemoReply {{}}
"""
PATH = "api/helloworld/v1/demo.proto"


# The table of Go's cmd/kratos/internal/proto/add/add_test.go, and a plain word.
@pytest.mark.parametrize(
    ("stem", "service"),
    [
        ("hello_world", "HelloWorld"),
        ("v2_kratos_dev", "V2KratosDev"),
        ("www_Google_com", "WwwGoogleCom"),
        ("wwwBaidu_com", "WwwBaiduCom"),
        ("HelloWorld", "HelloWorld"),
        ("demo", "Demo"),
    ],
)
def test_the_file_names_the_service(stem: str, service: str) -> None:
    assert upper_camel(stem) == service


def test_a_definition_is_that_of_go(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proto", "add", PATH]) == 0
    assert (folder / PATH).read_text() == DEMO.format(module="")
    assert capsys.readouterr().out == f"{PATH}\n"


@pytest.mark.parametrize(
    ("files", "module"),
    [
        (
            {"go.mod": "// A module.\nmodule github.com/acme/shop\n\ngo 1.22\n"},
            "github.com/acme/shop/",
        ),
        ({"../go.mod": "module shop\n"}, "shop/"),
        ({"pyproject.toml": '[project]\nname = "acme-shop"\n'}, "acme-shop/"),
        ({"pyproject.toml": "[tool.ruff]\n"}, ""),
    ],
    ids=["module", "module around", "distribution", "neither"],
)
def test_the_package_of_go_begins_with_the_project(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Write,
    files: Mapping[str, str],
    module: str,
) -> None:
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    write({f"here/{name}": text for name, text in files.items()})
    assert main(["proto", "add", PATH]) == 0
    assert (folder / "here" / PATH).read_text() == DEMO.format(module=module)


def test_the_package_begins_where_imports_begin(folder: Path) -> None:
    assert main(["proto", "add", PATH, "-I", "api"]) == 0
    text = (folder / PATH).read_text()
    assert "\npackage helloworld.v1;\n" in text
    assert '"api/helloworld/v1;v1"' in text


@pytest.mark.parametrize("options", [[], ["--http"], ["--errors"], ["--http", "--errors"]])
def test_what_is_written_can_be_generated(folder: Path, options: list[str]) -> None:
    path = "api/shop/v1/book_store.proto"
    assert main(["proto", "add", path, *options]) == 0
    assert main(["proto", path]) == 0
    typed = (folder / "api/shop/v1/book_store_kratos.py").read_text()
    assert ("/v1/book_store/{id}" in typed) is ("--http" in options)
    assert ("error_book_store_not_found" in typed) is ("--errors" in options)


def test_a_definition_that_is_there_stays(
    folder: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write({PATH: "mine"})
    assert main(["proto", "add", PATH]) == 1
    assert f"{PATH} already exists" in capsys.readouterr().err
    assert (folder / PATH).read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["demo.proto"], "the proto path needs to be hierarchical"),
        (["api/demo.proto", "-I", "api"], "write api/helloworld/v1/demo.proto"),
        (["api/demo"], "must end in .proto"),
        (["../api/demo.proto"], "outside this folder"),
        (["api/v1/demo.proto", "-I", "other"], "outside other"),
        (["my-api/v1/demo.proto"], "'my-api' cannot be part of a package"),
        (["api/v1/hello-world.proto"], "'hello-world' cannot be part of a package"),
    ],
)
def test_a_path_that_makes_no_package_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert main(["proto", "add", *arguments]) == 2
    assert reason in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_made_is_named(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write({"api": "a file"})
    assert main(["proto", "add", PATH]) == 1
    assert "kratos proto: error: api" in capsys.readouterr().err


def test_a_project_file_that_is_broken_is_named(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write({"pyproject.toml": "name ="})
    assert main(["proto", "add", PATH]) == 1
    assert "kratos proto: error: pyproject.toml: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("project", "package"),
    [
        ('[project]\nname = "a\\";\\nimport \\"b"\n', r'"a\";\nimport \"b/api/v1;v1"'),
        ("project = 5\n", '"api/v1;v1"'),
        ("[project]\nname = 5\n", '"api/v1;v1"'),
    ],
)
def test_name_of_the_project_stays_within_its_quotes(
    write: Write, folder: Path, project: str, package: str
) -> None:
    write({"pyproject.toml": project})
    assert main(["proto", "add", "api/v1/a.proto"]) == 0
    assert f"option go_package = {package};\n" in (folder / "api/v1/a.proto").read_text()
    assert main(["proto", "api/v1/a.proto", "-o", "out"]) == 0  # the compiler takes it


def test_project_that_is_no_text_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pyproject.toml").write_bytes(b"\xff")
    assert main(["proto", "add", "api/v1/a.proto"]) == 1
    assert "kratos proto: error: pyproject.toml: " in capsys.readouterr().err


@pytest.mark.parametrize("stem", ["_", "__"])
def test_underscores_name_no_service(stem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["proto", "add", f"api/v1/{stem}.proto"]) == 2
    assert f"{stem!r} is no name for a service" in capsys.readouterr().err
