"""How workers find the factory of a program."""

from __future__ import annotations

import functools
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kratos import App
from kratos.app import load
from kratos.errors import ConfigError
from kratos.workers._target import name_of_factory

PROGRAM = """
from kratos import App
from kratos.workers._target import name_of_factory
def build():
    return App(name=__name__)
class Factory:
    @staticmethod
    def build():
        return App(name="nested")
if __name__ == "__main__":
    print(name_of_factory(build))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "some_service.py").write_text(PROGRAM)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def build() -> App:
    return App()


def run(*arguments: str, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def test_factory_of_a_module_goes_by_its_name() -> None:
    name = f"{__name__}:build"
    assert name_of_factory(build) == name
    assert load(name) is build


def test_factory_of_a_program_goes_by_the_path_of_its_file(folder: Path) -> None:
    ran = run("some_service.py", cwd=folder)
    assert ran.stdout.strip() == f"{folder / 'some_service.py'}:build", ran.stderr


def test_factory_of_a_module_that_is_run_goes_by_the_name_of_the_module(folder: Path) -> None:
    ran = run("-m", "some_service", cwd=folder)
    assert ran.stdout.strip() == "some_service:build", ran.stderr


@pytest.mark.parametrize(("arguments", "text"), [(["-c", PROGRAM], ""), (["-"], PROGRAM)])
def test_factory_without_a_file_is_refused(arguments: list[str], text: str, folder: Path) -> None:
    ran = run(*arguments, cwd=folder, text=text)
    assert ran.returncode != 0
    assert "put it into a module" in ran.stderr


def test_factory_in_an_archive_is_refused_as_workers_cannot_import_it(folder: Path) -> None:
    archive = folder / "service.pyz"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("__main__.py", PROGRAM)
    ran = run(str(archive), cwd=folder)
    assert ran.returncode != 0
    assert "put it into a module, and import it from there" in ran.stderr


def test_factory_of_a_folder_that_is_run_goes_by_the_path_of_its_program(folder: Path) -> None:
    (folder / "service").mkdir()
    program = folder / "service" / "__main__.py"
    program.write_text(PROGRAM)
    ran = run("service", cwd=folder)
    assert ran.stdout.strip() == f"{program}:build", ran.stderr


@pytest.mark.parametrize("nameless", [lambda: App(), functools.partial(build)])
def test_factory_that_has_no_name_of_its_own_is_refused_and_told_what_to_do(
    nameless: Callable[[], App],
) -> None:
    with pytest.raises(ConfigError, match="define it with def at the top level of a module"):
        name_of_factory(nameless)


def test_factory_whose_name_stands_for_something_else_is_refused() -> None:
    @functools.wraps(build)
    def other() -> App:
        return App()

    with pytest.raises(ConfigError, match="is not what"):
        name_of_factory(other)


def test_file_is_imported_under_its_name_and_not_as_the_main_program(folder: Path) -> None:
    app: App = load(f"{folder / 'some_service.py'}:build")()
    assert app.name == "some_service"
    assert str(folder) in sys.path
    assert sys.modules["some_service"].build is load("some_service:build")


def test_name_of_the_function_may_be_left_out_or_nested(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    assert load("some_service")().name == "some_service"
    assert load("some_service:Factory.build")().name == "nested"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:build", "there is no module 'no_such_module'"),
        ("some_service:no_such_name", "there is no no_such_name in some_service"),
        ("some_service:biuld", "there is no biuld in some_service; did you mean 'build'"),
        ("some_service:__name__", "is no function"),
        ("no/such/file.py:build", "there is no file .*no/such/file.py"),
        (":build", "write module:build"),
        ("../../service:build", "begins with a dot: write the whole name of the module"),
        ("some_service:", "write module:build"),
    ],
)
def test_target_that_leads_nowhere_is_refused_with_the_reason(
    target: str, reason: str, folder: Path
) -> None:
    sys.path.insert(0, str(folder))
    with pytest.raises(ConfigError, match=reason):
        load(target)


def test_current_folder_is_named_where_it_was_looked_in(folder: Path) -> None:
    sys.path.insert(0, "")
    with pytest.raises(ConfigError, match="looked for in the current folder, "):
        load("no_such_module:build")


def test_module_that_fails_to_import_another_one_fails_as_itself(folder: Path) -> None:
    (folder / "needy.py").write_text("import no_such_dependency")
    sys.path.insert(0, str(folder))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        load("needy:build")
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        load(f"{folder / 'needy.py'}:build")
