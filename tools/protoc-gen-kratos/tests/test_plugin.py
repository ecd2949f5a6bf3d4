"""The plug-in, as protoc and buf run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from random import Random

import pytest
import yaml
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import Edition, FileDescriptorSet

from protoc_gen_kratos import Options, Result, generate
from protoc_gen_kratos.main import respond

CODE = Options(mock=True, error_catalogue="errors.md", openapi="openapi.json")
TESTS = Options(tests="tests", tests_package="gen")
ZOO = Path(__file__).parent / "zoo"
README = Path(__file__).parents[1] / "README.md"
PROGRAM = "import sys; from protoc_gen_kratos.main import main; sys.exit(main())"


def ask(zoo: tuple[bytes, list[str]], parameter: str = "") -> CodeGeneratorResponse:
    descriptor_set, names = zoo
    request = CodeGeneratorRequest(
        file_to_generate=names,
        parameter=parameter,
        proto_file=FileDescriptorSet.FromString(descriptor_set).file,
    )
    return CodeGeneratorResponse.FromString(respond(request.SerializeToString()))


def test_the_answer_holds_what_the_command_generates(zoo: tuple[bytes, list[str]]) -> None:
    response = ask(zoo)
    found = {file.name: file.content for file in response.file}
    assert found == {file.path: file.content for file in generate(*zoo).files}


def files_of(result: Result) -> dict[str, bytes]:
    return {file.path: file.content.encode() for file in result.files}


def test_the_answer_says_what_the_plugin_supports(zoo: tuple[bytes, list[str]]) -> None:
    response = ask(zoo)
    assert response.supported_features == (
        CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
        | CodeGeneratorResponse.FEATURE_SUPPORTS_EDITIONS
    )
    assert response.minimum_edition == Edition.EDITION_PROTO2
    assert response.maximum_edition == Edition.EDITION_2023


def test_a_wrong_switch_is_part_of_the_answer(zoo: tuple[bytes, list[str]]) -> None:
    response = ask(zoo, "omitemty=false")
    assert "there is no switch 'omitemty'" in response.error
    assert not response.file


def test_warnings_go_to_standard_error(
    zoo: tuple[bytes, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    ask(zoo)
    assert "protoc-gen-kratos: warning: shop/v1/order.proto:" in capsys.readouterr().err


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A program by the name that protoc looks for."""
    path = tmp_path / "protoc-gen-kratos"
    path.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    path.chmod(0o755)
    return path


def test_protoc_runs_it(protoc: Callable[..., str], plugin: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    protoc(
        ZOO,
        ["shop/v1/errors.proto"],
        f"--plugin={plugin}",
        f"--kratos_out=omitempty=false:{out}",
    )
    made = {path.name for path in out.rglob("*.*")}
    assert made == {"errors_pb2.py", "errors_pb2.pyi", "errors_kratos.py"}


def test_protoc_writes_code_and_tests_in_one_run(
    protoc: Callable[..., str], plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("gen", "tests"):
        (tmp_path / folder).mkdir()
    outs = (
        "--kratos_out=mock,openapi=openapi.json:gen",
        "--kratos_out=tests=tests,tests_package=gen:tests",
    )
    protoc(ZOO, ["shop/v1/depot.proto"], f"--plugin={plugin}", *outs)
    assert set(contents(tmp_path / "tests")) == {"test_shop_v1_depot.py"}
    assert {"openapi.json", "shop/v1/depot_kratos_mock.py"} <= set(contents(tmp_path / "gen"))
    readme = README.read_text(encoding="utf-8")
    assert f"protoc {' '.join(outs)} " in readme


@pytest.mark.parametrize(
    ("parameter", "some"),
    [
        (
            "mock,error_catalogue=errors.md,openapi=openapi.json",
            {"errors.md", "openapi.json", "shop/v1/order_kratos_mock.py"},
        ),
        ("tests=tests", {"test_shop_v1_orders.py"}),
    ],
)
def test_the_answer_is_the_same_in_every_process_and_order(
    zoo: tuple[bytes, list[str]], tmp_path: Path, parameter: str, some: set[str]
) -> None:
    descriptor_set, names = zoo
    files = list(FileDescriptorSet.FromString(descriptor_set).file)
    (tmp_path / "tests").mkdir()
    answers: set[bytes] = set()
    for seed in (0, 1, 4711):
        order = Random(seed)  # the first is the compiler's
        request = CodeGeneratorRequest(
            file_to_generate=order.sample(names, len(names)) if seed else names,
            parameter=parameter,
            proto_file=order.sample(files, len(files)) if seed else files,
        )
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=request.SerializeToString(),
            capture_output=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        )
        answers.add(done.stdout)
    assert len(answers) == 1
    found = {file.name for file in CodeGeneratorResponse.FromString(answers.pop()).file}
    assert some <= found


@pytest.fixture
def configuration() -> str:
    """What the README has buf read."""
    readme = README.read_text(encoding="utf-8")
    (found,) = re.findall(r"```yaml\n# buf\.gen\.yaml\n(.*?)```", readme, re.DOTALL)
    return str(found)


@pytest.fixture
def buf(tmp_path: Path) -> Callable[..., None]:
    """Run buf in the test's folder."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    found = shutil.which("buf", path=search)
    if found is None:
        pytest.skip("there is no buf; pip install buf-bin")

    def run(*arguments: str) -> None:
        environment = {**os.environ, "PATH": search}
        subprocess.run([found, *arguments], check=True, cwd=tmp_path, env=environment)

    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Return files by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.slow
def test_buf_runs_it(
    zoo: tuple[bytes, list[str]], buf: Callable[..., None], configuration: str, tmp_path: Path
) -> None:
    (tmp_path / "buf.gen.yaml").write_text(configuration)
    (tmp_path / "zoo.binpb").write_bytes(zoo[0])
    wanted = [word for name in zoo[1] for word in ("--path", name)]
    (tmp_path / "tests").mkdir()
    buf("generate", "zoo.binpb", *wanted)
    made, tests = contents(tmp_path / "gen"), contents(tmp_path / "tests")
    # buf puts options into another order, which the descriptors in *_pb2.py show.
    expected = files_of(generate(*zoo, options=CODE))
    assert set(made) == set(expected)
    assert [name for name in made if made[name] != expected[name] and "_pb2.py" not in name] == []
    assert tests == files_of(generate(*zoo, options=TESTS))
    mine = tmp_path / "tests" / min(tests)
    mine.write_text("mine")
    buf("generate", "zoo.binpb", *wanted)
    assert contents(tmp_path / "gen") == made
    assert contents(tmp_path / "tests") == {**tests, mine.name: b"mine"}


def test_buf_finds_it_by_the_name_in_the_readme(configuration: str) -> None:
    plugins = yaml.safe_load(configuration)["plugins"]
    scripts = {point.name for point in entry_points(group="console_scripts")}
    assert {plugin["local"] for plugin in plugins} <= scripts
    options = [Options.parse(",".join(plugin["opt"])) for plugin in plugins]
    assert options == [CODE, TESTS]
    assert TESTS.tests == plugins[1]["out"]


def test_other_input_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=b"\xff", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"the input is no CodeGeneratorRequest" in done.stderr
