"""The plug-in of pytest, in runs of pytest of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kratos import App
from kratos.testing import (
    CallFaults,
    FakeClock,
    FakeServer,
    MemoryLogger,
    MemoryMeter,
    MemoryRegistry,
    MemorySource,
    MemoryTracer,
    Topology,
)
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.fixtures import AppFixture, ClientFixture, Scope

USES = """
    import asyncio

    import pytest

    from kratos import App
    from kratos.testing import FakeServer
    from kratos.testing.echo import ECHO, EchoService, text
"""


def run(folder: Path, source: str, *arguments: str) -> str:
    """Run pytest on one module, without any plug-in but those named, and return what it said."""
    (folder / "test_one.py").write_text(textwrap.dedent(USES + source), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "kratos", *arguments, "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout + ran.stderr


def test_fixtures_that_need_no_loop_are_what_they_say(
    kratos_clock: FakeClock,
    kratos_registry: MemoryRegistry,
    kratos_source: MemorySource,
    kratos_log: MemoryLogger,
    kratos_meter: MemoryMeter,
    kratos_tracer: MemoryTracer,
    kratos_faults: CallFaults,
    kratos_topology: Topology,
) -> None:
    assert isinstance(kratos_clock, FakeClock)
    assert isinstance(kratos_registry, MemoryRegistry)
    assert isinstance(kratos_source, MemorySource)
    assert isinstance(kratos_log, MemoryLogger)
    assert isinstance(kratos_meter, MemoryMeter)
    assert isinstance(kratos_tracer, MemoryTracer)
    assert isinstance(kratos_faults, CallFaults)
    assert isinstance(kratos_topology, Topology)


async def test_client_calls_a_service_in_process(kratos_client: ClientFixture) -> None:
    client = await kratos_client(EchoService(), timeout=5)
    assert (await client.unary(ECHO, text("ok"))).value == "ok"


async def test_application_serves_until_the_end_of_the_test(kratos_app: AppFixture) -> None:
    server = FakeServer(endpoint="http://127.0.0.1:1")
    app = await kratos_app(App(name="one", servers=[server], signals=()))
    assert app.endpoints == ("http://127.0.0.1:1",)
    assert "fake stop" not in server.journal


WORKS = """
    journal = []

    @MARK
    async def test_serves(kratos_app, kratos_client):
        server = FakeServer(journal=journal)
        await kratos_app(App(name="one", servers=[server], signals=()))
        client = await kratos_client(EchoService())
        assert (await client.unary(ECHO, text("ok"))).value == "ok"
        assert "fake stop" not in journal

    def test_has_stopped():
        assert journal[-1] == "fake end"
"""


@pytest.mark.slow
def test_pytest_asyncio_runs_the_fixtures_in_its_strict_mode(tmp_path: Path) -> None:
    said = run(tmp_path, WORKS.replace("MARK", "pytest.mark.asyncio"), "-p", "asyncio")
    assert "2 passed" in said, said


@pytest.mark.slow
def test_pytest_asyncio_runs_the_fixtures_in_its_automatic_mode(tmp_path: Path) -> None:
    source = WORKS.replace("@MARK", "")
    said = run(tmp_path, source, "-p", "asyncio", "-o", "asyncio_mode=auto")
    assert "2 passed" in said, said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mark", "more"),
    [
        ("pytest.mark.asyncio(loop_scope='session')", ()),
        ("pytest.mark.asyncio", ("-o", "asyncio_default_test_loop_scope=module")),
    ],
    ids=["marked", "configured"],
)
def test_fixtures_run_in_the_loop_of_the_test(
    tmp_path: Path, mark: str, more: tuple[str, ...]
) -> None:
    said = run(tmp_path, WORKS.replace("MARK", mark), "-p", "asyncio", *more)
    assert "2 passed" in said, said


async def test_other_loop_than_that_of_the_test_is_refused() -> None:
    async def scope() -> Scope:
        return Scope()

    other = await asyncio.to_thread(asyncio.run, scope())
    with pytest.raises(RuntimeError, match="same loop_scope"):
        await other.client(EchoService())


@pytest.mark.slow
@pytest.mark.parametrize("also", [(), ("-p", "asyncio")], ids=["alone", "beside_pytest_asyncio"])
def test_anyio_runs_the_fixtures_on_asyncio(tmp_path: Path, also: tuple[str, ...]) -> None:
    source = """
    @pytest.fixture
    def anyio_backend():
        return "asyncio"
    """ + WORKS.replace("MARK", "pytest.mark.anyio")
    said = run(tmp_path, source, "-p", "anyio", *also)
    assert "2 passed" in said, said


@pytest.mark.slow
def test_other_loops_of_anyio_are_left_out_with_the_reason(tmp_path: Path) -> None:
    source = """
    @pytest.fixture
    def anyio_backend():
        return "trio"

    @pytest.mark.anyio
    async def test_serves(kratos_client):
        pass
    """
    said = run(tmp_path, source, "-p", "anyio", "-rs")
    assert "1 skipped" in said, said
    assert "Kratos runs on asyncio alone" in said


@pytest.mark.slow
def test_what_is_missing_is_said_where_nothing_runs_asynchronous_tests(tmp_path: Path) -> None:
    said = run(tmp_path, "    def test_serves(kratos_app):\n        pass")
    assert "1 error" in said, said
    assert "pip install pytest-asyncio" in said


@pytest.mark.slow
def test_what_is_left_behind_fails_the_test(tmp_path: Path) -> None:
    source = """
    @pytest.mark.asyncio
    async def test_leaks(kratos_app):
        asyncio.create_task(asyncio.sleep(60), name="forgotten")
    """
    said = run(tmp_path, source, "-p", "asyncio")
    assert "1 passed, 1 error" in said, said
    assert "left behind: task forgotten" in said


@pytest.mark.slow
def test_run_that_uses_no_fixture_imports_nothing_of_kratos(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        textwrap.dedent("""
        import sys

        def pytest_sessionfinish():
            print("HELD", *sorted(name for name in sys.modules if "." not in name or
                                  name.startswith("kratos.")))
        """),
        encoding="utf-8",
    )
    (tmp_path / "test_none.py").write_text("def test_none(): pass", encoding="utf-8")
    said = run(tmp_path, "", "-p", "asyncio", "--collect-only", "-s", "test_none.py")
    (line,) = [line for line in said.splitlines() if line.startswith("HELD ")]
    held = set(line.split())
    assert "asyncio" in held
    assert held.isdisjoint({"grpc", "google", "aegis", "yaml"})
    assert {name for name in held if name.startswith("kratos")} == {
        "kratos",
        "kratos.testing",
        "kratos.testing._pytest_asyncio",
        "kratos.testing.pytest_plugin",
    }
