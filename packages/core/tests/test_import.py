from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kratos
import kratos.testing

HEAVY = ("grpc", "httptools", "hpack", "orjson", "yaml", "uvloop", "pydantic")


def loaded_after(program: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after a program."""
    report = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{report}"], capture_output=True, check=True, text=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "program",
    [
        "import kratos",
        "from kratos import *",
        "from kratos import App; App(name='x')",
        "import kratos.config, kratos.health, kratos.log, kratos.metrics, kratos.middleware",
        "import kratos.fieldmask, kratos.pagination",
        "import kratos.offload, kratos.registry, kratos.scope, kratos.transport",
    ],
)
def test_core_loads_no_client_library(program: str) -> None:
    assert loaded_after(program).isdisjoint(HEAVY)


def test_bare_import_loads_nothing_beyond_the_standard_library() -> None:
    loaded = loaded_after("import kratos")
    assert "kratos" in loaded
    assert loaded.isdisjoint({"google", "aegis", "asyncio"})


MODULES = (
    "kratos.app",
    "kratos.config",
    "kratos.fieldmask",
    "kratos.health",
    "kratos.log",
    "kratos.metrics",
    "kratos.middleware",
    "kratos.offload",
    "kratos.pagination",
    "kratos.registry",
    "kratos.scope",
    "kratos.tracing",
    "kratos.transport",
    "kratos.transport.server",
)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_the_first_one_imported(module: str) -> None:
    assert "kratos" in loaded_after(f"import {module}")


@pytest.mark.parametrize("name", kratos.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(kratos, name) is not None
    assert name in dir(kratos)


@pytest.mark.parametrize("name", kratos.testing.__all__)
def test_every_public_name_of_the_test_kit_is_there(name: str) -> None:
    assert getattr(kratos.testing, name) is not None
    assert name in dir(kratos.testing)


def test_test_kit_loads_nothing_until_it_is_used() -> None:
    assert loaded_after("import kratos.testing").isdisjoint({"google", "aegis", "asyncio"})


def test_unknown_name_is_refused_as_python_does() -> None:
    module: Any = kratos
    with pytest.raises(AttributeError, match="module 'kratos' has no attribute 'Ap'"):
        _ = module.Ap


def test_version_is_that_of_the_installed_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "kratos_core-7.8.9.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: kratos-core\nVersion: 7.8.9"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert kratos.__version__ == "7.8.9"


def test_version_is_unknown_where_no_distribution_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert kratos.__version__ == "unknown"


FORK = """
import asyncio, os, sys
from google.protobuf.wrappers_pb2 import StringValue
from kratos import App, local
from kratos.testing.echo import ECHO, EchoService

async def call():
    return (await local(EchoService()).unary(ECHO, StringValue(value="alive"))).value

assert asyncio.run(call()) == "alive"
child = os.fork()
if child == 0:
    os._exit(0 if asyncio.run(call()) == "alive" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_process_that_uses_the_core_may_fork() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
