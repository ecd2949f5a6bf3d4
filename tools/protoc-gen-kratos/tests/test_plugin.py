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

import pytest
import yaml
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import Edition, FileDescriptorSet

from protoc_gen_kratos import Options, generate
from protoc_gen_kratos.main import respond

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


def test_protoc_runs_it(protoc: Callable[..., str], tmp_path: Path) -> None:
    plugin = tmp_path / "protoc-gen-kratos"
    plugin.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    plugin.chmod(0o755)
    zoo = Path(__file__).parent / "zoo"
    out = tmp_path / "out"
    out.mkdir()
    protoc(
        zoo,
        ["shop/v1/errors.proto"],
        f"--plugin={plugin}",
        f"--kratos_out=omitempty=false:{out}",
    )
    made = {path.name for path in out.rglob("*.*")}
    assert made == {"errors_pb2.py", "errors_pb2.pyi", "errors_kratos.py"}


def test_the_answer_is_the_same_in_every_process(zoo: tuple[bytes, list[str]]) -> None:
    descriptor_set, names = zoo
    request = CodeGeneratorRequest(
        file_to_generate=names,
        parameter="mock,error_catalogue=errors.md",
        proto_file=FileDescriptorSet.FromString(descriptor_set).file,
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=request.SerializeToString(),
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(answers) == 1
    found = {file.name for file in CodeGeneratorResponse.FromString(answers.pop()).file}
    assert {"errors.md", "shop/v1/order_kratos_mock.py"} <= found


@pytest.fixture
def configuration() -> str:
    """What the README has buf read."""
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"```yaml\n# buf\.gen\.yaml\n(.*?)```", readme, re.DOTALL)
    return str(found)


@pytest.mark.slow
def test_buf_runs_it(zoo: tuple[bytes, list[str]], configuration: str, tmp_path: Path) -> None:
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    buf = shutil.which("buf", path=search)
    if buf is None:
        pytest.skip("there is no buf; pip install buf-bin")
    (tmp_path / "buf.gen.yaml").write_text(configuration)
    (tmp_path / "zoo.binpb").write_bytes(zoo[0])
    wanted = [word for name in zoo[1] for word in ("--path", name)]
    subprocess.run(
        [buf, "generate", "zoo.binpb", *wanted],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": search},
    )
    made = tmp_path / "gen"
    options = Options(mock=True, error_catalogue="errors.md")
    assert {path.relative_to(made).as_posix() for path in made.rglob("*.*")} == {
        file.path for file in generate(*zoo, options=options).files
    }


def test_buf_finds_it_by_the_name_in_the_readme(configuration: str) -> None:
    (plugin,) = yaml.safe_load(configuration)["plugins"]
    scripts = {point.name for point in entry_points(group="console_scripts")}
    assert plugin["local"] in scripts
    assert Options.parse(",".join(plugin["opt"])).error_catalogue == "errors.md"


def test_other_input_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=b"\xff", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"the input is no CodeGeneratorRequest" in done.stderr
