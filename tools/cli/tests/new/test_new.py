"""``kratos new``: what it makes, and what it leaves alone."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kratos_cli.commands import new as command
from kratos_cli.main import main

ROOT = Path(__file__).parents[4]

Kratos = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def tree(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as it comes."""
    folder = tmp_path_factory.mktemp("made") / "my-shop"
    assert main(["new", str(folder)]) == 0
    return folder


def imports(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


def test_layout_is_that_of_kratos(made: Path) -> None:
    files = set(tree(made))
    layers = {path.split("/")[2] for path in files if path.startswith("src/my_shop/")}
    assert layers >= {"api", "biz", "conf", "data", "server", "service", "app.py", "__main__.py"}
    assert files >= {
        ".github/workflows/ci.yml",
        "Dockerfile",
        "Makefile",
        "README.md",
        "api/helloworld/v1/error_reason.proto",
        "api/helloworld/v1/greeter.proto",
        "compose.yaml",
        "configs/config.yaml",
        "deploy/kubernetes.yaml",
        "hatch.toml",
        "hatchw",
        "pyproject.toml",
        "src/my_shop/api/helloworld/v1/error_reason_kratos.py",
        "src/my_shop/api/helloworld/v1/greeter_kratos.py",
        "src/my_shop/conf/conf_pb2.py",
        "tests/test_app.py",
    }


def test_business_knows_neither_data_nor_transport(made: Path) -> None:
    for file in (made / "src/my_shop/biz").glob("*.py"):
        for module in imports(file.read_text()):
            allowed = ("my_shop.biz", "my_shop.api", "__future__", "dataclasses", "typing")
            assert module.startswith(allowed), f"{file.name} imports {module}"


def test_generated_code_is_what_the_projects_own_scripts_generate(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tomllib.loads((made / "hatch.toml").read_text())["envs"]["default"]["scripts"]
    monkeypatch.chdir(made)
    for name in ("api", "config"):
        words = scripts[name].replace("{args}", "--check").split()
        assert words.pop(0) == "kratos"
        assert main(words) == 0


@pytest.mark.parametrize("option", [(), ("--http-only",), ("--grpc-only",)], ids=str)
def test_checks_lint_with_kratos_and_find_nothing(
    here: Path,
    new: Kratos,
    option: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    assert new("shop", *option) == 0
    monkeypatch.chdir(here / "shop")
    assert new("app/user", "--nomod", *option) == 0
    scripts = tomllib.loads(Path("hatch.toml").read_text())["envs"]
    assert "lint" in scripts["default"]["scripts"]["check"]
    assert scripts["default"]["scripts"]["lint"] == "hatch run check:lint {args}"
    words = scripts["check"]["scripts"]["lint"][-1].replace("{args:.}", ".").split()
    assert words[:2] == ["kratos", "lint"]
    capsys.readouterr()
    assert main(words[1:]) == 0
    assert capsys.readouterr().out == ""


def test_development_serves_anew_after_each_change(made: Path) -> None:
    scripts = tomllib.loads((made / "hatch.toml").read_text())["envs"]["default"]["scripts"]
    assert scripts["dev"] == "kratos run --reload my_shop.app:build {args}"


def test_nothing_of_the_template_remains(made: Path) -> None:
    for path, content in tree(made).items():
        if path == ".kratos/template.zip":
            continue  # that is the template
        assert "{{" not in path
        assert not path.endswith(".tmpl")
        text = content.decode().replace("${{ matrix.python }}", "")
        assert "{{" not in text, path
        assert str(made.parent) not in text, path


def test_programs_can_be_run(made: Path) -> None:
    assert os.access(made / "hatchw", os.X_OK)
    assert not os.access(made / "README.md", os.X_OK)


def test_wrapper_is_that_of_this_repository() -> None:
    template = ROOT / "tools/cli/src/kratos_cli/templates/service/hatchw.tmpl"
    assert template.read_bytes() == (ROOT / "hatchw").read_bytes()


def test_made_twice_it_is_the_same(made: Path, here: Path, new: Kratos) -> None:
    assert new("my-shop") == 0
    assert tree(here / "my-shop") == tree(made)


@pytest.mark.usefixtures("small")
def test_tells_what_it_made_and_what_comes_next(here: Path, new: Kratos, capsys: Captured) -> None:
    assert new("shop") == 0
    told = capsys.readouterr().out.splitlines()
    size = (here / "shop/pyproject.toml").stat().st_size
    assert f"CREATED pyproject.toml ({size} bytes)" in told
    assert told[-4:] == ["Next:", "    cd shop", "    ./hatchw run test", "    ./hatchw run dev"]
    assert len([line for line in told if line.startswith("CREATED ")]) == len(tree(here / "shop"))


def test_recorded_session_shows_what_is_made(made: Path) -> None:
    page = (ROOT / "docs/first-minute.md").read_text(encoding="utf-8")
    recorded = re.findall(r"^CREATED (\S+) \(\d+ bytes\)$", page, re.MULTILINE)
    assert recorded == sorted(
        (path.replace("my_shop", "shop") for path in tree(made)), key=lambda path: Path(path).parts
    )


@pytest.mark.parametrize(("option", "gone"), [("--http-only", "grpc"), ("--grpc-only", "http")])
def test_one_transport_leaves_no_trace_of_the_other(
    here: Path, new: Kratos, option: str, gone: str
) -> None:
    assert new("shop", option) == 0
    files = tree(here / "shop")
    assert f"src/shop/server/{gone}.py" not in files
    for path in ("src/shop/app.py", "src/shop/conf/conf.proto", "configs/config.yaml"):
        assert gone not in files[path].decode().lower()
    assert f"SERVER__{gone.upper()}__" not in files["Dockerfile"].decode()
    kept = "http" if gone == "grpc" else "grpc"
    assert f'"kratos-core[{kept}]>=' in files["pyproject.toml"].decode()


def test_both_options_are_too_many(new: Kratos, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        new("shop", "--http-only", "--grpc-only")
    assert caught.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["shop", "./shop", "sub/folder/shop"])
def test_name_may_be_a_path(here: Path, new: Kratos, name: str) -> None:
    assert new(name) == 0
    assert 'name = "shop"' in (here / name / "pyproject.toml").read_text()


@pytest.mark.usefixtures("small")
def test_home_may_be_abbreviated(here: Path, new: Kratos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    assert new("~/shop") == 0
    assert (here / "home/shop/hatchw").is_file()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("words", [["~nobody-here/shop"], ["shop", "--repo", "~nobody-here/x"]])
def test_home_that_is_not_there_is_told(new: Kratos, capsys: Captured, words: list[str]) -> None:
    assert new(*words) == 2
    assert f"{words[-1]}: there is no such home" in capsys.readouterr().err


def test_empty_folder_is_filled_even_the_present_one(
    here: Path, new: Kratos, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "shop").mkdir()
    monkeypatch.chdir(here / "shop")
    assert new(".") == 0
    assert Path("pyproject.toml").is_file()


def test_folder_that_holds_something_is_not_touched(
    here: Path, new: Kratos, capsys: Captured
) -> None:
    (here / "shop").mkdir()
    (here / "shop/notes").write_text("mine")
    assert new("shop") == 1
    assert "is there, and is not empty" in capsys.readouterr().err
    assert tree(here) == {"shop/notes": b"mine"}


@pytest.mark.usefixtures("small")
def test_force_replaces_what_is_there(here: Path, new: Kratos) -> None:
    (here / "shop").mkdir()
    (here / "shop/notes").write_text("mine")
    assert new("shop", "--force") == 0
    assert "notes" not in tree(here / "shop")
    assert sorted(path.name for path in here.iterdir()) == ["shop"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("yes", 0), ("", 1), ("n", 1)])
def test_asks_a_person_before_it_replaces(
    here: Path, new: Kratos, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    (here / "shop").mkdir()
    (here / "shop/notes").write_text("mine")
    monkeypatch.setattr(command, "_is_asked", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _="": answer)
    assert new("shop") == status
    assert (here / "shop/notes").exists() is (status == 1)


@pytest.mark.usefixtures("small")
def test_asks_a_person_for_the_name(
    here: Path, new: Kratos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_is_asked", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _="": " shop ")
    assert new() == 0
    assert (here / "shop/hatchw").is_file()


def test_asks_nobody_where_nobody_is(new: Kratos, capsys: Captured) -> None:
    assert new() == 2
    assert "name the project: kratos new NAME" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["here", "."])
def test_never_replaces_more_than_a_project(
    here: Path, new: Kratos, monkeypatch: pytest.MonkeyPatch, capsys: Captured, name: str
) -> None:
    monkeypatch.setenv("HOME", str(here / "home"))
    (here / "notes").write_text("mine")
    assert new(str(here) if name == "here" else name, "--force") == 1
    assert "it holds more than a project" in capsys.readouterr().err
    assert tree(here) == {"notes": b"mine"}


def test_file_of_the_name_is_kept(here: Path, new: Kratos, capsys: Captured) -> None:
    (here / "shop").write_text("mine")
    assert new("shop", "--force") == 1
    assert "is no folder" in capsys.readouterr().err
    assert tree(here) == {"shop": b"mine"}


@pytest.mark.parametrize("there", [False, True])
def test_failure_leaves_everything_as_it_was(
    here: Path, new: Kratos, capsys: Captured, tmp_path: Path, there: bool
) -> None:
    template = tmp_path / "template"
    (template / "api").mkdir(parents=True)
    (template / "api/wrong.proto").write_text("no definition")
    (template / "kratos-template.toml").write_text(
        '[[generate]]\nprotos = "api"\nroot = "api"\nout = "out"\n'
    )
    if there:
        (here / "shop").mkdir()
        (here / "shop/notes").write_text("mine")
    assert new("shop", "--repo", str(template), "--force") == 1
    assert "protoc refuses the definitions" in capsys.readouterr().err
    assert tree(here) == ({"shop/notes": b"mine"} if there else {})
    assert sorted(path.name for path in here.iterdir()) == (["shop"] if there else [])


@pytest.mark.usefixtures("small")
def test_folder_that_cannot_be_written_is_told(here: Path, new: Kratos, capsys: Captured) -> None:
    (here / "file").write_text("")
    assert new("file/shop") == 1
    assert "file" in capsys.readouterr().err


def test_folder_that_is_filled_meanwhile_stays_as_it_is(
    here: Path,
    new: Kratos,
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    def slow(*_: object) -> None:
        (here / "shop").mkdir()
        (here / "shop/hatchw").write_text("of another run")

    monkeypatch.setattr("kratos_cli.new.project._generate", slow)
    assert new("shop") == 1
    assert "has been filled meanwhile" in capsys.readouterr().err
    assert [path.name for path in here.rglob("*")] == ["shop", "hatchw"]
    assert (here / "shop/hatchw").read_text() == "of another run"


def test_never_empties_the_home_that_a_link_leads_to(
    here: Path, new: Kratos, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    home = here / "home"
    home.mkdir()
    (home / "notes").write_text("mine")
    (here / "shop").symlink_to(home)
    monkeypatch.setenv("HOME", str(home))
    assert new("shop", "--force") == 1
    assert "it holds more than a project" in capsys.readouterr().err
    assert (home / "notes").read_text() == "mine"
