"""``kratos proto``: finding definitions, compiling, writing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from kratos_cli.main import main

GREETER = """syntax = "proto3";
package helloworld.v1;
import "google/api/annotations.proto";
// Greets.
service Greeter {
  rpc SayHello(HelloRequest) returns (HelloReply) {
    option (google.api.http) = { get: "/helloworld/{name}" };
  }
}
message HelloRequest { string name = 1; }
message HelloReply { string message = 1; }
"""
ERRORS = """syntax = "proto3";
package helloworld.v1;
import "errors/errors.proto";
enum Reason { NOT_FOUND = 0 [(errors.code) = 404]; }
"""
USER = """syntax = "proto3";
package user;
import "helloworld/v1/greeter.proto";
message M { helloworld.v1.HelloRequest r = 1; }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty present folder, and no environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KRATOS_PROTO_PATH", raising=False)
    return tmp_path


def write(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def run_python(program: str, *paths: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_command_makes_a_package_of_a_folder(folder: Path) -> None:
    write(folder / "api", {"helloworld/v1/greeter.proto": GREETER})
    write(folder / "api", {"helloworld/v1/reason.proto": ERRORS})
    assert main(["proto", "api", "-I", "api", "--out", "gen"]) == 0
    assert tree(folder / "gen") == {
        "helloworld/__init__.py",
        "helloworld/py.typed",
        "helloworld/v1/__init__.py",
        "helloworld/v1/greeter_kratos.py",
        "helloworld/v1/greeter_pb2.py",
        "helloworld/v1/greeter_pb2.pyi",
        "helloworld/v1/reason_kratos.py",
        "helloworld/v1/reason_pb2.py",
        "helloworld/v1/reason_pb2.pyi",
    }
    program = "from helloworld.v1 import greeter_kratos, reason_kratos; print('fine')"
    assert run_python(program, folder / "gen") == "fine\n"


def test_client_is_the_long_form(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, {"a/x.proto": 'syntax = "proto3";'})
    assert main(["proto", "client", "a/x.proto"]) == 0
    assert capsys.readouterr().out.split() == [
        "a/__init__.py",
        "a/py.typed",
        "a/x_pb2.py",
        "a/x_pb2.pyi",
    ]


def test_output_lies_beside_its_definition_unless_told_otherwise(folder: Path) -> None:
    write(folder, {"a/x.proto": 'syntax = "proto3";'})
    assert main(["proto", "a/x.proto"]) == 0
    assert (folder / "a" / "x_pb2.py").is_file()


def test_what_has_not_changed_is_not_touched(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"a/x.proto": 'syntax = "proto3";'})
    assert main(["proto", "a"]) == 0
    capsys.readouterr()
    assert main(["proto", "a"]) == 0
    assert capsys.readouterr().out == ""


def test_a_package_file_that_is_there_stays(folder: Path) -> None:
    write(folder, {"a/x.proto": 'syntax = "proto3";', "a/__init__.py": "# mine\n"})
    assert main(["proto", "a"]) == 0
    assert (folder / "a" / "__init__.py").read_text() == "# mine\n"


def test_the_output_folder_is_a_package_if_it_lies_in_one(folder: Path) -> None:
    write(folder, {"src/app/__init__.py": "", "api/a/x.proto": 'syntax = "proto3";'})
    assert main(["proto", "api", "-I", "api", "--out", "src/app/api"]) == 0
    assert {"__init__.py", "py.typed", "a/__init__.py"} <= tree(folder / "src/app/api")


def test_the_output_folder_is_a_package_if_modules_meet_across_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "api", {"helloworld/v1/greeter.proto": GREETER, "user/user.proto": USER})
    assert main(["proto", "api", "-I", "api", "--out", "gen"]) == 0
    assert (folder / "gen" / "__init__.py").is_file()
    assert "--absolute-root" in capsys.readouterr().err
    assert run_python("import gen.user.user_pb2; print('fine')", folder) == "fine\n"


def test_an_output_folder_on_the_import_path_is_no_package(folder: Path) -> None:
    write(folder / "api", {"helloworld/v1/greeter.proto": GREETER, "user/user.proto": USER})
    assert main(["proto", "api", "-I", "api", "--out", "gen", "--absolute-root"]) == 0
    assert not (folder / "gen" / "__init__.py").exists()
    assert run_python("import user.user_pb2; print('fine')", folder / "gen") == "fine\n"


def test_the_output_imports_from_an_archive(folder: Path) -> None:
    write(folder / "api", {"helloworld/v1/greeter.proto": GREETER})
    assert main(["proto", "api", "-I", "api", "--out", "gen"]) == 0
    with zipfile.ZipFile(folder / "packed.zip", "w") as archive:
        for name in tree(folder / "gen"):
            archive.write(folder / "gen" / name, name)
    program = "from helloworld.v1 import greeter_kratos; print('fine')"
    assert run_python(program, folder / "packed.zip") == "fine\n"


def test_check_passes_when_nothing_would_change(folder: Path) -> None:
    write(folder, {"a/x.proto": 'syntax = "proto3";'})
    assert main(["proto", "a"]) == 0
    assert main(["proto", "a", "--check"]) == 0


def test_check_names_what_would_change_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"a/x.proto": 'syntax = "proto3";'})
    assert main(["proto", "a"]) == 0
    write(folder, {"a/x_pb2.py": "# edited\n"})
    assert main(["proto", "a", "--check"]) == 1
    assert "a/x_pb2.py is not what would be generated" in capsys.readouterr().err
    assert (folder / "a" / "x_pb2.py").read_text() == "# edited\n"


def test_wrong_definitions_are_reported_by_path_and_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = GREETER.replace("{name}", "{nam}")
    write(folder, {"api/helloworld/v1/greeter.proto": wrong})
    assert main(["proto", "api", "-I", "api", "--out", "gen"]) == 1
    assert capsys.readouterr().err == (
        "api/helloworld/v1/greeter.proto:7: Greeter.SayHello: path variable 'nam': "
        "helloworld.v1.HelloRequest has no field 'nam'; did you mean 'name'?\n"
        "kratos proto: error: nothing was written: 1 problem\n"
    )
    assert not (folder / "gen").exists()


def test_what_the_compiler_says_is_shown_by_path(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"api/a/x.proto": 'syntax = "proto3";\nmessage M { string }\n'})
    assert main(["proto", "api", "-I", "api"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("api/a/x.proto:2:20: ")
    assert shown.endswith("protoc refuses the definitions; nothing was written\n")


def test_an_import_that_is_nowhere_is_answered_with_the_folders_searched(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"x.proto": 'syntax = "proto3"; import "nope.proto";'})
    assert main(["proto", "x.proto"]) == 1
    shown = capsys.readouterr().err
    assert "nope.proto" in shown
    assert f"Add its folder with -I to:\n  {folder}\n" in shown


def test_warnings_are_shown_and_do_not_fail(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = GREETER.replace('get: "/helloworld/{name}"', 'post: "/hello"')
    write(folder, {"greeter.proto": text})
    assert main(["proto", "greeter.proto", "--out", "gen"]) == 0
    assert "greeter.proto:7: Greeter.SayHello: POST /hello does not declare a body (warning)" in (
        capsys.readouterr().err
    )


def test_a_sibling_must_be_generated_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "api", {"helloworld/v1/greeter.proto": GREETER, "user/user.proto": USER})
    one = ["proto", "api/user/user.proto", "-I", "api", "--out", "gen"]
    assert main(one) == 1
    assert "gen/helloworld/v1/greeter_pb2.py is not there" in capsys.readouterr().err
    assert main(["proto", "api/helloworld", "-I", "api", "--out", "gen"]) == 0
    assert main(one) == 0


def test_imports_can_be_included(folder: Path) -> None:
    write(folder / "api", {"helloworld/v1/greeter.proto": GREETER, "user/user.proto": USER})
    command = ["proto", "api/user/user.proto", "-I", "api", "--out", "gen", "--include-imports"]
    assert main(command) == 0
    made = tree(folder / "gen")
    assert "helloworld/v1/greeter_pb2.py" in made
    assert not any(name.startswith("google/") for name in made)


def test_a_module_can_be_named(folder: Path) -> None:
    write(folder / "api", {"helloworld/v1/greeter.proto": GREETER, "user/user.proto": USER})
    module = "helloworld/v1/greeter.proto=hello.greeter_pb2"
    command = ["proto", "api/user/user.proto", "-I", "api", "--out", "gen", "--module", module]
    assert main(command) == 0
    content = (folder / "gen" / "user" / "user_pb2.py").read_text()
    assert "from hello import greeter_pb2" in content


def test_third_party_definitions_are_found_and_not_generated(folder: Path) -> None:
    write(
        folder,
        {
            "a/x.proto": 'syntax = "proto3"; import "google/fancy.proto";'
            "message M { google.Fancy f = 1; }",
            "third_party/google/fancy.proto": 'syntax = "proto3"; package google; message Fancy {}',
        },
    )
    assert main(["proto", "."]) == 0
    assert not list((folder / "third_party").rglob("*.py"))


def test_the_environment_names_further_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, {"more/helloworld/v1/greeter.proto": GREETER, "user.proto": USER})
    monkeypatch.setenv("KRATOS_PROTO_PATH", "more")
    assert main(["proto", "user.proto", "--out", "gen", "--include-imports"]) == 0


def test_hidden_folders_and_environments_are_not_searched(folder: Path) -> None:
    write(
        folder,
        {
            "a/x.proto": 'syntax = "proto3";',
            ".cache/y.proto": "broken",
            "env/pyvenv.cfg": "",
            "env/lib/z.proto": "broken",
        },
    )
    assert main(["proto", ".", "--out", "gen"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["nope.proto"], 2, "nope.proto does not exist"),
        (["text.txt"], 2, "text.txt is no .proto file"),
        (["empty"], 2, "there is no definition to generate"),
        (["a/x.proto", "-I", "nope"], 2, "-I nope: there is no such folder"),
        (["a/x.proto", "-I", "empty"], 2, "lies in no folder that names start from"),
        (["a/x.proto", "-I", ".", "-I", "a"], 0, ""),
        (["a/x.proto", "--module", "x"], 2, "--module x lacks '='"),
        (["a/x.proto", "--private-package", "a-b"], 2, "names joined with dots"),
        (["a/x.proto", "--protoc", "./nope"], 1, "./nope cannot be run"),
        (["errors/errors.proto"], 1, "its module comes with an installed distribution"),
    ],
)
def test_wrong_arguments_are_answered_with_the_reason(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    reason: str,
) -> None:
    write(
        folder,
        {
            "a/x.proto": 'syntax = "proto3";',
            "errors/errors.proto": 'syntax = "proto3";',
            "text.txt": "",
        },
    )
    (folder / "empty").mkdir()
    assert main(["proto", *arguments]) == status
    assert reason in capsys.readouterr().err


def test_a_file_hidden_by_an_earlier_folder_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"one/x.proto": 'syntax = "proto3";', "two/x.proto": 'syntax = "proto3";'})
    assert main(["proto", "two/x.proto", "-I", "one", "-I", "two"]) == 2
    assert "two/x.proto is hidden" in capsys.readouterr().err


def test_a_compiler_of_ones_own_can_be_named(folder: Path) -> None:
    write(folder, {"a/x.proto": 'syntax = "proto3";'})
    protoc = folder / "protoc"
    protoc.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grpc_tools.protoc "$@"\n')
    protoc.chmod(0o755)
    assert main(["proto", "a/x.proto", "--protoc", str(protoc)]) == 0


def test_the_switches_of_the_plugin_are_options(folder: Path) -> None:
    text = GREETER.replace('option (google.api.http) = { get: "/helloworld/{name}" };', "")
    write(folder, {"greeter.proto": text})
    switches = ["--omitempty", "false", "--omitempty-prefix", "/api"]
    assert main(["proto", "greeter.proto", "--out", "gen", *switches]) == 0
    content = (folder / "gen" / "greeter_kratos.py").read_text()
    assert 'path="/api/helloworld.v1.Greeter/SayHello"' in content


def test_a_document_is_written_beside_the_code(folder: Path) -> None:
    write(folder, {"greeter.proto": GREETER})
    switches = ["--openapi", "docs/api.json", "--openapi-title", "Hello", "--openapi-version", "2"]
    assert main(["proto", "greeter.proto", "--out", "gen", *switches]) == 0
    told = json.loads((folder / "gen/docs/api.json").read_text())
    assert told["info"] == {"title": "Hello", "version": "2"}
    assert list(told["paths"]) == ["/helloworld/{name}"]
    assert not (folder / "gen/docs/__init__.py").exists()
    assert main(["proto", "greeter.proto", "--out", "gen", *switches, "--check"]) == 0


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_output_that_cannot_be_written_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], check: list[str]
) -> None:
    (folder / "greeter.proto").write_text(GREETER, encoding="utf-8")
    (folder / "gen").write_text("a file", encoding="utf-8")
    assert main(["proto", "greeter.proto", "--out", "gen", *check]) == 1
    told = capsys.readouterr().err
    assert told.startswith("kratos proto: error: gen")
    assert told.endswith("choose a folder that can be written to with --out\n")


def test_folder_with_pipes_and_links_in_circles_is_searched(folder: Path) -> None:
    write(folder, {"api/a.proto": 'syntax = "proto3";\npackage a;\n'})
    os.mkfifo(folder / "api" / "b.proto")  # nobody ever writes into it
    for number in range(8):  # in more ways than can be gone
        (folder / "api" / f"circle{number}").symlink_to(folder / "api")
    assert main(["proto", "api", "-I", "api", "-o", "out"]) == 0
    assert sorted(path.name for path in (folder / "out").glob("*.py")) == ["a_pb2.py"]


def test_what_is_no_text_is_refused_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.proto").write_bytes(bytes(range(256)) * 1000)
    assert main(["proto", "a.proto"]) == 1
    assert capsys.readouterr().err == "kratos proto: error: a.proto is no text: it has zero bytes\n"


def test_compiler_that_says_too_much_is_cut_short(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"a.proto": "message 1 {}\n" * 3000})
    assert main(["proto", "a.proto"]) == 1
    *_, more, told = capsys.readouterr().err.splitlines()
    assert more.startswith("and ")
    assert more.endswith(" lines more")
    assert told == "kratos proto: error: protoc refuses the definitions; nothing was written"


def test_link_that_leads_out_of_the_output_is_not_written_through(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, {"a.proto": 'syntax = "proto3";\npackage a;\n', "notes": "mine"})
    (folder / "out").mkdir()
    (folder / "out/a_pb2.py").symlink_to(folder / "notes")
    assert main(["proto", "a.proto", "-o", "out"]) == 1
    assert "out/a_pb2.py is a link that leads out of out; remove it" in capsys.readouterr().err
    assert (folder / "notes").read_text() == "mine"


def test_compiler_that_is_none_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, {"a.proto": 'syntax = "proto3";\npackage a;\n', "protoc": "#!/bin/sh\n"})
    (folder / "protoc").chmod(0o755)
    assert main(["proto", "a.proto", "--protoc", "./protoc"]) == 1
    assert "./protoc wrote no descriptors; it is no protoc" in capsys.readouterr().err
