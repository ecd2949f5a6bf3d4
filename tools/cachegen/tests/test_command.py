"""The command, and that what it writes depends on the interface alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kratos_cachegen.command import generate, main, module_of
from kratos_cli.main import main as kratos

ZOO = Path(__file__).parent / "zoo"
NAMES = ("library", "shop")

INTERFACE = '''\
"""Books."""
import decimal as numbers
from typing import Protocol, TYPE_CHECKING
if TYPE_CHECKING:
    from collections import OrderedDict
from . import shelf
from kratos_cachegen import bts as back, memory

class Book: ...

class Books(Protocol):
    @back(singleflight=True)
    @memory()
    async def book(self, found: "int", *, value: str = "a, b", keeps: int = 0) -> "Book | None":
        r"""Return a \\ "book"."""
        ...

    @back()
    async def price(self, each: shelf.Place) -> numbers.Decimal | None: ...

    @back(sync=True)
    async def order(self, result: int) -> "OrderedDict[str, int] | None": ...

class Other: ...
'''


@pytest.mark.parametrize("name", NAMES)
def test_generated_code_is_what_is_kept_here(name: str) -> None:
    text = generate(ZOO / f"{name}.py", module=f"tools.cachegen.tests.zoo.{name}")
    assert text == (ZOO / f"{name}_cache.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_generated_code_is_formatted(name: str) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100"),
            *("--check", str(ZOO / f"{name}_cache.py")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_output_is_the_same_in_every_process(seed: str, tmp_path: Path) -> None:
    source = tmp_path / "shop.py"
    source.write_text((ZOO / "shop.py").read_text(encoding="utf-8"))
    module = ["--module", "tools.cachegen.tests.zoo.shop"]
    subprocess.run(
        [sys.executable, "-m", "kratos_cachegen", *module, str(source)],
        env={"PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "shop_cache.py").read_bytes() == (ZOO / "shop_cache.py").read_bytes()


def test_names_come_from_where_the_interface_has_them(tmp_path: Path) -> None:
    package = tmp_path / "app" / "data"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "shelf.py").write_text("class Place: ...\n")
    (package / "books.py").write_text(INTERFACE)
    assert main([str(tmp_path)]) == 0
    text = (package / "books_cache.py").read_text(encoding="utf-8")
    assert "import decimal as numbers\n" in text
    assert "from collections import OrderedDict\n" in text
    assert "from . import shelf\n" in text
    assert "from app.data.books import Book, Books\n" in text
    ran = subprocess.run(
        [sys.executable, "-c", "from app.data.books_cache import CachedBooks as C; print(C.book)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_module_is_named_by_the_packages_around_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "__init__.py").touch()
    assert module_of(tmp_path / "a" / "b.py") == "a.b"
    assert module_of(tmp_path / "b.py") == "b"


@pytest.fixture
def interface(tmp_path: Path) -> Path:
    file = tmp_path / "books.py"
    file.write_text(INTERFACE.replace("from . import shelf", "import shelf"))
    return file


def test_check_tells_what_is_out_of_date(
    interface: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", str(interface)]) == 1
    assert "books_cache.py is not as" in capsys.readouterr().err
    assert main([str(interface)]) == 0
    assert main(["--check", str(interface.parent)]) == 0
    capsys.readouterr()
    assert main([str(interface)]) == 0
    assert capsys.readouterr().out == ""  # nothing has changed


def test_it_is_a_command_of_kratos(interface: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kratos(["cachegen", str(interface)]) == 0
    assert capsys.readouterr().out == f"{interface.with_name('books_cache.py')}\n"


def test_problem_is_told_with_file_and_line_and_others_are_written(
    interface: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = interface.with_name("wrong.py")
    wrong.write_text(INTERFACE.replace("@back()", "@back(batch=1)"))
    assert main([str(wrong), str(interface)]) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"{wrong}:")
    assert "batch and max_group are for methods of many keys" in told.err
    assert interface.with_name("books_cache.py").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.py"], "absent.py is neither a folder nor a Python file"),
        (["."], "no module in . uses kratos_cachegen"),
        (["--module", "a", "a.py", "b.py"], "names the module of one file"),
    ],
)
def test_wrong_use_is_told(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py"):
        (tmp_path / name).touch()
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
