"""Compiles definitions, generates from them, and looks at the output from fresh processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from protoc_gen_kratos import Options, Result, generate

ZOO = Path(__file__).parent / "zoo"


def _installed_roots() -> list[str]:
    roots: list[Path] = []
    for package, relative in (
        ("kratos", "."),
        ("kratos", ".."),
        ("google.api", "../.."),
        ("grpc_tools", "_proto"),
    ):
        spec = find_spec(package)
        assert spec is not None, f"{package} is not installed"
        roots += [Path(place, relative) for place in spec.submodule_search_locations or ()]
    return [str(root.resolve()) for root in roots]


@pytest.fixture(scope="session")
def protoc() -> Callable[..., str]:
    """Run protoc over the definitions in a folder; further arguments first."""
    roots = [f"-I{root}" for root in _installed_roots()]

    def run(folder: Path, names: list[str], *arguments: str) -> str:
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", *roots]
        done = subprocess.run(
            [*command, *arguments, *names], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    return run


@pytest.fixture(scope="session")
def compiled(
    protoc: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path, list[str]], bytes]:
    """Return the descriptor set of the definitions in a folder."""

    def compile_definitions(folder: Path, names: list[str]) -> bytes:
        output = tmp_path_factory.mktemp("set") / "descriptors"
        protoc(
            folder,
            names,
            f"--descriptor_set_out={output}",
            "--include_imports",
            "--include_source_info",
        )
        return output.read_bytes()

    return compile_definitions


@pytest.fixture
def generated(
    compiled: Callable[[Path, list[str]], bytes], tmp_path: Path
) -> Callable[..., Result]:
    """Generate from texts of definitions, by name."""

    def run(texts: Mapping[str, str], options: Options | None = None) -> Result:
        folder = tmp_path / "definitions"
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        names = sorted(texts)
        return generate(compiled(folder, names), names, options=options or Options())

    return run


@pytest.fixture(scope="session")
def zoo(compiled: Callable[[Path, list[str]], bytes]) -> tuple[bytes, list[str]]:
    """The descriptor set of the zoo, and the names of its definitions."""
    names = sorted(path.relative_to(ZOO).as_posix() for path in ZOO.rglob("*.proto"))
    return compiled(ZOO, names), names


@pytest.fixture(scope="session")
def written() -> Callable[[Result, Path], Path]:
    """Write a result as a package, and return its folder."""

    def write(result: Result, package: Path) -> Path:
        for file in result.files:
            path = package / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content, encoding="utf-8")
            for folder in (path.parent, *path.parent.parents):
                if folder == package.parent:
                    break
                (folder / "__init__.py").touch()
        (package / "py.typed").touch()
        return package

    return write


@pytest.fixture(scope="session")
def python() -> Callable[..., str]:
    """Run a program in a fresh process that finds ``paths`` first; warnings are errors."""

    def run(program: str, *paths: Path, **environment: str) -> str:
        search = os.pathsep.join(str(path) for path in paths)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": search, "PYTHONSAFEPATH": "1", **environment},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def type_errors(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[str]]:
    """Return what mypy strict and pyright strict object to in a package."""
    cache = tmp_path_factory.mktemp("mypy")

    def check(package: Path) -> list[str]:
        folder = package.parent
        settings = {"typeCheckingMode": "strict", "include": [package.name]}
        (folder / "pyrightconfig.json").write_text(json.dumps(settings))
        (folder / "mypy.ini").write_text("[mypy]\nstrict = True\npython_version = 3.11\n")
        mypy = subprocess.run(
            [sys.executable, "-m", "mypy", "--cache-dir", str(cache), "-p", package.name],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        pyright = subprocess.run(
            [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        found = [line for line in mypy.stdout.splitlines() if ": error:" in line]
        assert found or mypy.returncode == 0, mypy.stdout + mypy.stderr
        report = json.loads(pyright.stdout)
        assert report["summary"]["filesAnalyzed"] > 0, "pyright found nothing to check"
        found += [
            f"{item['file']}:{item['range']['start']['line'] + 1}: {item['message']}"
            for item in report["generalDiagnostics"]
            if item["severity"] == "error"
        ]
        return found

    return check


_UNREACHABLE = ("dns error", "error sending request", "Failed to connect", "Connection refused")


def _installer() -> list[str]:
    """Return a command that installs into a folder: uv where there is one, else pip."""
    beside = Path(sys.executable).with_name("uv")
    found = os.environ.get("HATCH_UV") or shutil.which("uv")
    if found is None and beside.is_file():
        found = str(beside)
    if found is not None:
        return [found, "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"]


@pytest.fixture(scope="session")
def distribution() -> Callable[[str], Path]:
    """Return a folder that holds a distribution and nothing it needs; kept for the next run."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kratos-tests"

    def install(requirement: str) -> Path:
        target = cache / re.sub(r"[^\w.]+", "-", f"distribution-{requirement}")
        if target.is_dir():
            return target
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch, "target")
            done = subprocess.run(
                [*_installer(), "--no-deps", "--target", str(made), requirement],
                capture_output=True,
                text=True,
                check=False,
                env={"UV_SYSTEM_CERTS": "1", **os.environ},
            )
            unreachable = any(sign in done.stderr for sign in _UNREACHABLE)
            if done.returncode and unreachable and not os.environ.get("CI"):
                pytest.skip(f"the package index cannot be reached for {requirement}")
            assert done.returncode == 0, done.stderr
            if not target.is_dir():  # another run may have been faster
                made.rename(target)
        return target

    return install
