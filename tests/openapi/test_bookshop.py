"""The document of the demo's bookshop, as the server and as the command line write it."""

from __future__ import annotations

import json
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import yaml
from bookshop.v1.bookshop_kratos import Bookshop
from openapi_spec_validator import OpenAPIV31SpecValidator

from kratos_cli.main import main
from kratos_http import OpenApi
from kratos_http.openapi.document import describe
from kratos_http.openapi.publish import as_yaml

SHOP = """
from bookshop.v1.bookshop_kratos import Bookshop
from kratos import App
from kratos_http import HttpServer, OpenApi


def build():
    server = HttpServer(openapi=OpenApi(description="Sells books."), path_prefix="/api")
    return App(name="shop", version="2", services=[Bookshop()], servers=[server])


def nothing():
    return App()


def wrong():
    return 7
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a program, which is the current one."""
    (tmp_path / "described_shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "described_shop", raising=False)
    return tmp_path


def test_document_is_the_one_that_was_reviewed(here: Path) -> None:
    described = describe([Bookshop], OpenApi(title="Bookshop", version="1"))
    OpenAPIV31SpecValidator(described).validate()
    golden = here / "bookshop.yaml"
    assert as_yaml(described).decode() == golden.read_text(encoding="utf-8"), (
        f"if the change is meant, write the new text into {golden.name}"
    )


def test_errors_of_the_definition_are_examples() -> None:
    described = describe([Bookshop], OpenApi())
    content: Any = described["components"]["responses"]["bookshop.v1.Bookshop.Error"]["content"]
    examples = content["application/json"]["examples"]
    assert {reason: one["value"]["code"] for reason, one in examples.items()} == {
        "BOOK_CHANGED": 409,
        "BOOK_EXISTS": 409,
        "BOOK_INVALID": 400,
        "BOOK_NOT_FOUND": 404,
        "BOOK_SOLD_OUT": 409,
        "COVER_INVALID": 400,
        "COVER_NOT_FOUND": 404,
        "LISTENER_TOO_SLOW": 429,
        "REFUSAL_UNSPECIFIED": 500,
    }


def test_command_writes_what_the_server_would(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["openapi", "described_shop:build"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["info"] == {"title": "shop", "version": "2", "description": "Sells books."}
    assert described["servers"] == [{"url": "/api"}]
    assert "/v1/shelves/{shelf}/books/{book}:buy" in described["paths"]


def test_command_writes_a_file_with_comments_of_definitions(shop: Path) -> None:
    with as_file(files("kratos_cli.demo") / "api") as api:
        definitions = ["--proto", str(api / "bookshop"), "-I", str(api)]
        words = "openapi described_shop.py --out api.yaml --title Books"
        ran = main([*words.split(), *definitions])
    assert ran == 0
    described = yaml.safe_load((shop / "api.yaml").read_text(encoding="utf-8"))
    assert described["info"]["title"] == "Books"
    book = described["components"]["schemas"]["bookshop.v1.Book"]["properties"]
    assert book["name"]["description"] == (
        "Full name: shelves/{shelf}/books/{book}. The shop gives it."
    )
    examples = described["components"]["responses"]["bookshop.v1.Bookshop.Error"]["content"]
    assert examples["application/json"]["examples"]["BOOK_SOLD_OUT"]["summary"] == (
        "409 Somebody was faster."
    )


def test_command_describes_the_service_of_a_folder_where_it_is_served(
    shop: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path_factory.mktemp("project")
    (project / "src/stall").mkdir(parents=True)
    (project / "pyproject.toml").touch()
    (project / "title").write_text("stall")
    (project / "src/stall/__init__.py").touch()
    (project / "src/stall/app.py").write_text(
        "from pathlib import Path\nfrom kratos import App\nfrom kratos_http import HttpServer\n"
        "def build():\n"
        "    return App(name=Path('title').read_text(), servers=[HttpServer('127.0.0.1:0')])\n"
    )
    assert main(["openapi", str(project), "-o", "stall.json"]) == 0
    assert json.loads((shop / "stall.json").read_text())["info"]["title"] == "stall"
    (project / "src/stall/app.py").rename(project / "src/stall/__main__.py")
    (project / "src/stall/__main__.py").write_text("")
    assert main(["openapi", str(project)]) == 2
    assert "stall has a program and no 'def build'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said", "status"),
    [
        (["no_such_module:build"], "there is no module 'no_such_module'", 2),
        (["described_shop:nothing"], "has no HttpServer to describe", 2),
        (["described_shop:wrong"], "returns no App, but 7", 2),
        (["described_shop:build", "--out", "no/such/folder"], "choose another --out", 1),
    ],
)
def test_command_says_what_it_lacks(
    arguments: list[str], said: str, status: int, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["openapi", *arguments]) == status
    assert said in capsys.readouterr().err
