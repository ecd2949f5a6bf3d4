"""Which service ``kratos run`` means when none is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kratos_cli.main import main
from kratos_cli.running.services import Service, find_services

FACTORY = "def build():\n    raise LookupError('built')\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def package(name: str, *, module: str = "app", text: str = FACTORY) -> dict[str, str]:
    return {f"{name}/__init__.py": "", f"{name}/{module}.py": text}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (package("src/shop"), [("shop", "shop.app:build", "")]),
        (package("shop", module="main"), [("shop", "shop.main:build", "")]),
        ({"service.py": FACTORY}, [("service", "service:build", "")]),
        (package("src/shop", module="__main__", text="1"), [("shop", "", "shop")]),
        (
            package("src/shop") | {"src/shop/__main__.py": "1"},
            [("shop", "shop.app:build", "shop")],
        ),
        (
            package("a/src/one") | package("a/b/src/two") | {"a/b/pyproject.toml": ""},
            [("two", "two.app:build", "")],
        ),
        (package("src/shop", text="def make(): ..."), []),
        (package("tests") | {"build/lib/pyproject.toml": ""} | package("build/lib/x"), []),
    ],
)
def test_services_are_found_where_projects_have_them(
    files: dict[str, str], found: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    write(tmp_path, files | {"pyproject.toml": ""})
    services = find_services(tmp_path)
    assert [(each.name, each.target, each.program) for each in services] == found


def test_project_is_found_from_a_folder_inside_it(tmp_path: Path) -> None:
    write(tmp_path, package("src/shop") | {"pyproject.toml": "", "src/shop/biz/x.py": ""})
    assert find_services(tmp_path / "src/shop/biz") == [
        Service(
            name="shop", folder=tmp_path, root=tmp_path / "src", target="shop.app:build", program=""
        )
    ]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two services, as current folder."""
    both = package("app/user/src/user") | package("app/order/src/order")
    projects = {"app/user/pyproject.toml": "", "app/order/pyproject.toml": "", "pyproject.toml": ""}
    monkeypatch.chdir(write(tmp_path, both | projects))
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("PYTHONPATH", "")
    for name in [*sys.modules]:  # other tests have packages of these names
        if name.partition(".")[0] in {"order", "shop", "user"}:
            monkeypatch.delitem(sys.modules, name)
    return tmp_path


def test_several_services_are_refused_where_nobody_can_be_asked(
    two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run"]) == 2
    told = capsys.readouterr().err
    assert "there are several services: order in app/order, user in app/user" in told


def test_folder_tells_which_service_is_meant(
    two: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "app/user"])
    assert ended.value.code == 1
    assert "LookupError: built" in capsys.readouterr().err + caplog.text
    assert Path.cwd() == two / "app/user"


def test_service_around_others_is_told_and_meant_by_its_package(
    two: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    write(two, package("src/shop"))
    assert main(["run"]) == 2
    told = capsys.readouterr().err
    assert "several services: shop in src/shop, order in app/order, user in app/user;" in told
    with pytest.raises(SystemExit):
        main(["run", "src/shop"])
    assert "LookupError: built" in capsys.readouterr().err + caplog.text
    assert Path.cwd() == two


def test_user_is_asked_which_service_is_meant(
    two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["x", "3", "1"])

    def answer(_prompt: str) -> str:
        return next(answers)

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit):
        main(["run"])
    assert "  1  order in app/order\n  2  user in app/user\n" in capsys.readouterr().out
    assert Path.cwd() == two / "app/order"


def test_module_that_is_nested_too_deeply_may_have_a_factory(tmp_path: Path) -> None:
    write(tmp_path, package("src/shop", module="app", text=f"x = {'-' * 100_000}1\n"))
    [service] = find_services(tmp_path)
    assert service.target == "shop.app:build"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["."], "there is no service in"),
        (["service", "--generate", "x"], "give both"),
        (["--work", "nowhere"], "there is no such folder"),
    ],
)
def test_what_cannot_be_run_is_told(
    words: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *words]) == 2
    assert problem in capsys.readouterr().err


def test_program_gets_the_arguments_after_two_dashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "import sys\nprint(sys.argv[1:])\n"
    write(tmp_path, package("src/shop_of_arguments", module="__main__", text=text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "argv", sys.argv[:])
    monkeypatch.setenv("PYTHONPATH", "")
    assert main(["run", "--", "-conf", "configs"]) == 0
    assert capsys.readouterr().out == "['-conf', 'configs']\n"
    assert main(["run", "-w2", "--", "-conf"]) == 2
    assert "leave --workers out" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "openapi"])
def test_folder_that_is_not_there_is_not_taken_for_a_module(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "no/such/folder"]) == 2
    assert "there is no folder no/such/folder; name that of a project" in capsys.readouterr().err
