"""Definitions that the world uses: generated, imported on every supported protobuf, checked."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from packaging.requirements import Requirement

from protoc_gen_kratos import Options, Result, generate

pytestmark = [pytest.mark.slow]

Compile = Callable[[Path, list[str]], bytes]
Distribution = Callable[[str], Path]
Python = Callable[..., str]
TypeErrors = Callable[[Path], list[str]]
Write = Callable[[Result, Path], Path]

PROTOBUFS = ["protobuf==6.31.0", "protobuf==6.33.0", "protobuf>=7,<8"]
every_protobuf = pytest.mark.parametrize("protobuf", PROTOBUFS)

PRIVATE = Options(private_package="kratos_tests.vendored")

HEALTH = "grpcio-health-checking==1.76.0"
ETCD = "go.etcd.io/etcd/api/v3@v3.6.5"
GOGO = "github.com/gogo/protobuf@v1.3.2"
GATEWAY = "github.com/grpc-ecosystem/grpc-gateway/v2@v2.26.3"

IMPORT_ALL = """
import importlib, pkgutil, sys
import google.protobuf
import vendored
from google.protobuf.message import Message

messages = 0
for module in pkgutil.walk_packages(vendored.__path__, "vendored."):
    for thing in vars(importlib.import_module(module.name)).values():
        if isinstance(thing, type) and issubclass(thing, Message) and thing is not Message:
            assert thing.FromString(thing().SerializePartialToString()) == thing()
            messages += 1
print(google.protobuf.__version__, messages)
"""


@pytest.fixture(scope="module")
def googleapis(
    compiled: Compile, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, list[str]]:
    """All definitions of googleapis-common-protos."""
    found = files("googleapis-common-protos") or []
    names = sorted(file.as_posix() for file in found if file.suffix == ".proto")
    assert len(names) > 50
    return compiled(tmp_path_factory.mktemp("empty"), names), names


@pytest.fixture(scope="module")
def health(distribution: Distribution) -> tuple[bytes, list[str]]:
    """The definition of grpcio-health-checking, which ships its descriptor alone."""
    module = distribution(HEALTH) / "grpc_health" / "v1" / "health_pb2.py"
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("AddSerializedFile"):
            raw = FileDescriptorProto.FromString(ast.literal_eval(node.args[0]))
            return FileDescriptorSet(file=[raw]).SerializeToString(), [raw.name]
    raise AssertionError(f"{module} registers no descriptor")


@pytest.fixture(scope="module")
def etcd(compiled: Compile, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[str]]:
    """etcd's rpc.proto with all it imports, from the Go modules that etcd names."""
    folder = tmp_path_factory.mktemp("etcd")
    for module, inside, name in (
        (ETCD, ".", "etcd/api"),
        (GOGO, "gogoproto", "gogoproto"),
        (GATEWAY, "protoc-gen-openapiv2/options", "protoc-gen-openapiv2/options"),
    ):
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(go_module(module, folder) / inside)
    descriptor_set = compiled(folder, ["etcd/api/etcdserverpb/rpc.proto"])
    names = [file.name for file in FileDescriptorSet.FromString(descriptor_set).file]
    assert "gogoproto/gogo.proto" in names
    return descriptor_set, names


def go_module(module: str, folder: Path) -> Path:
    """Download a Go module, and return its folder."""
    go = shutil.which("go")
    if go is None and not os.environ.get("CI"):
        pytest.skip("there is no Go toolchain to fetch the definitions with")
    assert go is not None, "there is no Go toolchain"
    done = subprocess.run(
        [go, "mod", "download", "-json", module],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stdout or "{}")
    if "Dir" not in answer and not os.environ.get("CI"):
        error = answer.get("Error", done.stderr)
        if "dial tcp" in error or "lookup" in error or "timeout" in error:
            pytest.skip(f"the Go module proxy cannot be reached for {module}")
    assert "Dir" in answer, answer or done.stderr
    return Path(answer["Dir"])


@every_protobuf
def test_googleapis_import_as_a_private_copy(
    googleapis: tuple[bytes, list[str]],
    distribution: Distribution,
    written: Write,
    python: Python,
    tmp_path: Path,
    protobuf: str,
) -> None:
    written(generate(*googleapis, options=PRIVATE), tmp_path / "vendored")
    version, messages = python(IMPORT_ALL, distribution(protobuf), tmp_path).split()
    assert version in Requirement(protobuf).specifier
    assert int(messages) > 100


def test_googleapis_import_as_themselves(
    googleapis: tuple[bytes, list[str]], written: Write, python: Python, tmp_path: Path
) -> None:
    written(generate(*googleapis, options=Options(regenerate=True)), tmp_path / "vendored")
    assert python(IMPORT_ALL, tmp_path)


@pytest.mark.parametrize("options", [PRIVATE, Options(regenerate=True)], ids=["private", "plain"])
def test_googleapis_are_clean_for_type_checkers(
    googleapis: tuple[bytes, list[str]],
    written: Write,
    type_errors: TypeErrors,
    tmp_path: Path,
    options: Options,
) -> None:
    package = written(generate(*googleapis, options=options), tmp_path / "vendored")
    assert type_errors(package) == []


@every_protobuf
def test_health_imports_as_a_private_copy(
    health: tuple[bytes, list[str]],
    distribution: Distribution,
    written: Write,
    python: Python,
    tmp_path: Path,
    protobuf: str,
) -> None:
    written(generate(*health, options=PRIVATE), tmp_path / "vendored")
    program = IMPORT_ALL + (
        "from vendored.grpc_health.v1.health_kratos import HEALTH_WATCH\n"
        "assert HEALTH_WATCH.operation == '/grpc.health.v1.Health/Watch'\n"
    )
    assert python(program, distribution(protobuf), tmp_path)


def test_health_is_clean_for_type_checkers(
    health: tuple[bytes, list[str]], written: Write, type_errors: TypeErrors, tmp_path: Path
) -> None:
    assert type_errors(written(generate(*health, options=PRIVATE), tmp_path / "vendored")) == []


@pytest.mark.go
@every_protobuf
def test_etcd_imports_as_a_private_copy(
    etcd: tuple[bytes, list[str]],
    distribution: Distribution,
    written: Write,
    python: Python,
    tmp_path: Path,
    protobuf: str,
) -> None:
    written(generate(*etcd, options=PRIVATE), tmp_path / "vendored")
    program = IMPORT_ALL + (
        "from vendored.etcd.api.etcdserverpb.rpc_kratos import KV_RANGE\n"
        "assert KV_RANGE.operation == '/etcdserverpb.KV/Range'\n"
    )
    assert python(program, distribution(protobuf), tmp_path)


@pytest.mark.go
def test_etcd_is_clean_for_type_checkers(
    etcd: tuple[bytes, list[str]], written: Write, type_errors: TypeErrors, tmp_path: Path
) -> None:
    assert type_errors(written(generate(*etcd, options=PRIVATE), tmp_path / "vendored")) == []


@every_protobuf
def test_output_is_the_same_on_every_protobuf(
    zoo: tuple[bytes, list[str]],
    googleapis: tuple[bytes, list[str]],
    distribution: Distribution,
    python: Python,
    tmp_path: Path,
    protobuf: str,
) -> None:
    program = """
import pathlib, sys
from protoc_gen_kratos import Options, generate

folder = pathlib.Path(FOLDER)
names = (folder / "names").read_text().split()
result = generate((folder / "set").read_bytes(), names, options=Options(regenerate=True))
for file in result.files:
    sys.stdout.write(f"{file.path}\\n{file.content}")
"""
    for descriptor_set, names in (zoo, googleapis):
        (tmp_path / "set").write_bytes(descriptor_set)
        (tmp_path / "names").write_text("\n".join(names))
        made = python(f"FOLDER = {str(tmp_path)!r}\n{program}", distribution(protobuf))
        here = generate(descriptor_set, names, options=Options(regenerate=True))
        assert made == "".join(f"{file.path}\n{file.content}" for file in here.files)
