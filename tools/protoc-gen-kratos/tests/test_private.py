"""Private copies of definitions that are installed as well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from protoc_gen_kratos import Options, Result, generate

Compile = Callable[[Path, list[str]], bytes]

NAMES = ["google/api/annotations.proto", "google/api/http.proto", "google/rpc/status.proto"]
PRIVATE = Options(private_package="acme.vendored")


@pytest.fixture
def copies(compiled: Compile, tmp_path: Path) -> Result:
    return generate(compiled(tmp_path, NAMES), NAMES, options=PRIVATE)


def test_a_copy_lives_beside_the_installed_one(
    copies: Result,
    written: Callable[[Result, Path], Path],
    python: Callable[..., str],
    tmp_path: Path,
) -> None:
    written(copies, tmp_path / "vendored")
    program = """
from google.api import annotations_pb2, http_pb2
from google.rpc import status_pb2
from google.protobuf import any_pb2
from vendored.google.api import annotations_pb2 as annotations, http_pb2 as http
from vendored.google.rpc import status_pb2 as status

assert http.Http is not http_pb2.Http
assert http.Http.DESCRIPTOR.full_name == "acme.vendored.google.api.Http"
assert http.DESCRIPTOR.name == "acme/vendored/google/api/http.proto"
rule = http_pb2.HttpRule(get="/x", additional_bindings=[{"put": "/y"}])
assert http.HttpRule.FromString(rule.SerializeToString()).additional_bindings[0].put == "/y"
assert type(status.Status().details.add()) is any_pb2.Any
assert not hasattr(annotations, "http")
print("fine")
"""
    assert python(program, tmp_path) == "fine\n"


def test_operations_keep_the_names_that_peers_know(compiled: Compile, tmp_path: Path) -> None:
    text = """syntax = "proto3";
package grpc.health.v1;
import "google/api/annotations.proto";
message Check {}
service Health {
  rpc Check(grpc.health.v1.Check) returns (grpc.health.v1.Check) {
    option (google.api.http) = { get: "/healthz" };
  }
}
"""
    (tmp_path / "health.proto").write_text(text)
    result = generate(compiled(tmp_path, ["health.proto"]), ["health.proto"], options=PRIVATE)
    content = {file.path: file.content for file in result.files}
    assert 'operation="/grpc.health.v1.Health/Check"' in content["health_kratos.py"]
    assert 'HttpRule(verb="GET", path="/healthz")' in content["health_kratos.py"]
    assert "annotations" not in content["health_pb2.py"]


def test_what_protobuf_brings_is_never_copied(compiled: Compile, tmp_path: Path) -> None:
    name = "google/protobuf/timestamp.proto"
    assert generate(compiled(tmp_path, [name]), [name], options=PRIVATE).files == ()
