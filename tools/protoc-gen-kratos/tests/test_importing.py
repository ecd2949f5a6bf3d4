"""Wherever a generated package lies, it imports: nested, zipped or installed from a wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from protoc_gen_kratos import Result

pytestmark = [pytest.mark.slow]

SHOP = """
syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "shop/v1/book.proto";
service Shop {
  rpc Find(Book) returns (Book) { option (google.api.http) = {get: "/books/{title}"}; }
}
"""
BOOK = """
syntax = "proto3";
package shop.v1;
import "google/protobuf/timestamp.proto";
message Book { string title = 1; google.protobuf.Timestamp printed = 2; }
"""
USE = """
import google.protobuf
from {package}.shop.v1.book_pb2 import Book
from {package}.shop.v1.shop_kratos import SHOP_FIND
assert SHOP_FIND.request is Book
assert Book.FromString(Book(title="Emma").SerializeToString()).title == "Emma"
print(google.protobuf.__version__)
"""

_OPTIONS_OF_6_31 = "googleapis-common-protos==1.72.0"

Write = Callable[[Result, Path], Path]


@pytest.fixture
def package(generated: Callable[..., Result], written: Write, tmp_path: Path) -> Path:
    """A folder ``api`` to import from, beside nothing else."""
    result = generated({"shop/v1/shop.proto": SHOP, "shop/v1/book.proto": BOOK})
    return written(result, tmp_path / "out" / "api")


def nested(package: Path, tmp_path: Path) -> tuple[Path, str]:
    inner = tmp_path / "nested" / "company" / "services"
    inner.mkdir(parents=True)
    package.rename(inner / "api")
    return tmp_path / "nested", "company.services.api"


def zipped(package: Path, tmp_path: Path) -> tuple[Path, str]:
    archive = tmp_path / "api.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for file in package.rglob("*"):
            made.write(file, file.relative_to(package.parent))
    return archive, "api"


def installed(package: Path, tmp_path: Path) -> tuple[Path, str]:
    (package.parent / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "shop-api"\nversion = "1"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["api"]\n',
        encoding="utf-8",
    )
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=package.parent, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:  # what an installer does with a pure wheel
        archive.extractall(tmp_path / "site")
    assert (tmp_path / "site" / "api" / "py.typed").is_file()
    return tmp_path / "site", "api"


@pytest.mark.parametrize("place", [nested, zipped, installed])
@pytest.mark.parametrize("protobuf", ["protobuf==6.31.0", "protobuf==6.33.0", "protobuf>=7,<8"])
def test_generated_package_imports_on_every_supported_protobuf(
    place: Callable[[Path, Path], tuple[Path, str]],
    protobuf: str,
    package: Path,
    python: Callable[..., str],
    distribution: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    where, name = place(package, tmp_path)
    installed = [distribution(protobuf)]
    if "==6." in protobuf:  # rules of HTTP come in code that is no newer, as an installer sees to
        installed.append(distribution(_OPTIONS_OF_6_31))
    version = python(USE.format(package=name), *installed, where).strip()
    assert version in Requirement(protobuf).specifier
