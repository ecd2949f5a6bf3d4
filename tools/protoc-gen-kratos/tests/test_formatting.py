"""Formatters leave the output as it is, at any width; at ours it reads as they would write it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from protoc_gen_kratos import Options, Result, generate

Write = Callable[[Result, Path], Path]

LONG = "Long" * 25
TEXT = f"""syntax = "proto3";
package a;
import "google/api/annotations.proto";
message {LONG} {{
  oneof one {{ string first_of_{LONG} = 1; string second_of_{LONG} = 2; }}
  repeated {LONG} many = 3;
  map<string, {LONG}> named = 4;
}}
service {LONG}Service {{
  rpc Call{LONG}({LONG}) returns (stream {LONG}) {{
    option (google.api.http) = {{get: "/v1/{"a/" * 50}b"}};
  }}
}}
"""


def reformatted(folder: Path, *, width: int) -> list[str]:
    """Return what ruff would write otherwise."""
    settings = ("--isolated", "--config", f"line-length={width}")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", *settings, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("Would reformat")]


@pytest.mark.parametrize("width", [79, 88, 120])
def test_formatters_leave_the_output_alone(
    zoo: tuple[bytes, list[str]],
    generated: Callable[..., Result],
    written: Write,
    tmp_path: Path,
    width: int,
) -> None:
    options = Options(mock=True)
    written(generate(*zoo, options=options), tmp_path / "out" / "zoo")
    written(generated({"a/long.proto": TEXT}, options), tmp_path / "out" / "long")
    assert reformatted(tmp_path / "out", width=width) == []


def test_the_output_reads_as_formatters_would_write_it(
    zoo: tuple[bytes, list[str]], written: Write, tmp_path: Path
) -> None:
    package = written(generate(*zoo, options=Options(mock=True)), tmp_path / "zoo")
    for path in package.rglob("*.py*"):
        if not path.name.endswith("_pb2.py"):  # data
            path.write_text(path.read_text().replace("# fmt: off\n", ""))
    assert reformatted(package, width=100) == []


def test_names_and_paths_of_any_length_make_python(
    generated: Callable[..., Result], written: Write, python: Callable[..., str], tmp_path: Path
) -> None:
    written(generated({"a/long.proto": TEXT}, Options(mock=True)), tmp_path / "long")
    program = (
        f"from long.a.long_kratos import {LONG}Service as S; import long.a.long_kratos_mock;"
        "print(S.METHODS[0].http[0].path)"
    )
    assert python(program, tmp_path) == f"/v1/{'a/' * 50}b\n"
