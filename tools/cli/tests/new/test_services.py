"""``kratos new app/user --nomod``: one more service of a project."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kratos_cli.main import main

Kratos = Callable[..., int]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "shop"
    assert main(["new", str(folder)]) == 0
    return folder


@pytest.fixture
def shop(made: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, which is the present folder."""
    folder = here / "shop"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def environments(shop: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((shop / "hatch.toml").read_text())["envs"]
    return found


def test_service_has_a_package_of_its_own_and_shares_the_api(shop: Path, new: Kratos) -> None:
    assert new("app/user", "--nomod") == 0
    service = shop / "app/user"
    assert {path.name for path in service.iterdir()} == {
        ".kratos",
        "Dockerfile",
        "configs",
        "deploy",
        "pyproject.toml",
        "src",
        "tests",
    }
    project = tomllib.loads((service / "pyproject.toml").read_text())["project"]
    assert project["name"] == "shop-user"
    assert "shop" in project["dependencies"]
    assert [path.name for path in (service / "src").iterdir()] == ["shop_user"]
    assert not (service / "src/shop_user/api").exists()
    business = (service / "src/shop_user/biz/greeter.py").read_text()
    assert "from shop.api.helloworld.v1.error_reason_kratos import" in business


def test_project_knows_its_services(shop: Path, new: Kratos) -> None:
    before = (shop / "hatch.toml").read_text()
    assert environments(shop)["default"]["workspace"]["members"] == []
    for name in ("app/user", "app/order"):
        assert new(name, "--nomod") == 0
    members = environments(shop)["default"]["workspace"]["members"]
    assert members == ["app/user", "app/order"]
    after = (shop / "hatch.toml").read_text()
    assert after.replace('[\n    "app/user",\n    "app/order",\n]', "[]") == before


def test_service_that_is_added_meanwhile_is_not_forgotten(
    shop: Path, new: Kratos, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = "kratos_cli.new.project._generate"

    def nothing(*_: object) -> None: ...

    def meanwhile(*_: object) -> None:
        monkeypatch.setattr(generate, nothing)
        assert new("app/order", "--nomod") == 0

    monkeypatch.setattr(generate, meanwhile)
    assert new("app/user", "--nomod") == 0
    members = environments(shop)["default"]["workspace"]["members"]
    assert members == ["app/order", "app/user"]


def test_services_can_run_beside_each_other(shop: Path, new: Kratos) -> None:
    for name in ("app/user", "app/order"):
        assert new(name, "--nomod") == 0
    files = [shop / folder / "configs/config.yaml" for folder in (".", "app/user", "app/order")]
    ports = [
        line.rpartition(":")[2].strip()
        for file in files
        for line in file.read_text().splitlines()
        if "addr: " in line
    ]
    assert len(ports) == 9
    assert len(set(ports)) == 9


def test_container_is_built_from_the_root(shop: Path, new: Kratos) -> None:
    assert new("app/user", "--nomod") == 0
    text = (shop / "app/user/Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    here = [path for paths in copied for path in paths if not path.startswith(("--", "/"))]
    assert here
    assert [path for path in here if not (shop / path).exists()] == []


def test_service_may_be_made_from_below(
    shop: Path, new: Kratos, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "app").mkdir()
    monkeypatch.chdir(shop / "app")
    assert new("user", "--nomod") == 0
    assert environments(shop)["default"]["workspace"]["members"] == ["app/user"]


def test_tells_how_to_run_it(shop: Path, new: Kratos, capsys: Captured) -> None:
    assert new("app/user", "--nomod") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    told = shown.out.splitlines()
    assert told[told.index("Next:") + 1 :] == [
        "    ./hatchw env prune",
        "    ./hatchw run test app/user/tests",
        "    ./hatchw run shop-user --conf app/user/configs",
    ]


def test_api_that_was_deleted_comes_back_and_others_stay(shop: Path, new: Kratos) -> None:
    shutil.rmtree(shop / "api/helloworld")
    shutil.rmtree(shop / "src/shop/api/helloworld")
    mine = 'syntax = "proto3";\npackage mine;\nmessage M {}\n'
    (shop / "api/mine.proto").write_text(mine)
    assert new("app/user", "--nomod") == 0
    assert (shop / "src/shop/api/helloworld/v1/greeter_kratos.py").is_file()
    assert (shop / "api/mine.proto").read_text() == mine


def test_api_that_was_changed_stays_as_it_is_and_is_told(
    shop: Path, new: Kratos, capsys: Captured
) -> None:
    proto = shop / "api/helloworld/v1/greeter.proto"
    proto.write_text(proto.read_text() + "// Mine.\n")
    generated = (shop / "src/shop/api/helloworld/v1/greeter_kratos.py").read_bytes()
    assert new("app/user", "--nomod") == 0
    told = capsys.readouterr().err
    assert "api/helloworld/v1/greeter.proto is not as the template has it" in told
    assert "error_reason.proto" not in told
    assert proto.read_text().endswith("// Mine.\n")
    assert (shop / "src/shop/api/helloworld/v1/greeter_kratos.py").read_bytes() == generated


def test_outside_of_a_project_it_is_refused(here: Path, new: Kratos, capsys: Captured) -> None:
    assert new("app/user", "--nomod") == 2
    assert "make the project first, by kratos new NAME" in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("hatch.toml", "[envs.default]\n"),
        ("hatch.toml", "not toml"),
        ("pyproject.toml", "[project]\n"),
    ],
)
def test_project_that_cannot_have_services_is_told(
    shop: Path, new: Kratos, capsys: Captured, file: str, text: str
) -> None:
    (shop / file).write_text(text)
    assert new("app/user", "--nomod") == 1
    assert "is no project that a service can be added to" in capsys.readouterr().err
    assert not (shop / "app").exists()


def test_list_that_is_written_in_another_way_is_told(
    shop: Path, new: Kratos, capsys: Captured
) -> None:
    (shop / "hatch.toml").write_text("[envs.default]\nworkspace = { members = [] }\n")
    assert new("app/user", "--nomod") == 1
    assert "write a line 'workspace.members = []'" in capsys.readouterr().err
    assert not (shop / "app").exists()


def test_wrong_name_is_told_as_it_was_typed(shop: Path, new: Kratos, capsys: Captured) -> None:
    assert new("app/User", "--nomod") == 2
    assert "'User' is no name for a project" in capsys.readouterr().err
