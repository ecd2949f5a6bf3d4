"""``kratos proto server``: classes to fill in, which are never overwritten."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kratos_cli.main import main

Write = Callable[[Mapping[str, str]], None]
Python = Callable[..., str]

DEFINITION = """syntax = "proto3";
package shop.v1;
import "google/protobuf/empty.proto";
import "shop/v1/types.proto";
// Sells.
service Counter {
  // Sells one.
  rpc Sell(Item.Wish) returns (Item);
  rpc Drop(Item) returns (google.protobuf.Empty);
  rpc Collect(stream Item) returns (Item);
  rpc Watch(Item) returns (stream Item);
  rpc Talk(stream Item) returns (stream Item);
  rpc Import(CounterService) returns (CounterService);
}
service ReturnsService {
  rpc TakeBack(Item) returns (Item);
}
message CounterService {}
"""
TYPES = """syntax = "proto3";
package shop.v1;
message Item { string name = 1; message Wish { string name = 1; } }
"""
PATH = "api/shop/v1/counter.proto"
COUNTER = '''"""Service ``shop.v1.Counter``."""

from __future__ import annotations

from collections.abc import AsyncIterator

from google.protobuf.empty_pb2 import Empty

from shop.api.shop.v1 import counter_pb2
from shop.api.shop.v1.counter_kratos import Counter
from shop.api.shop.v1.types_pb2 import Item

__all__ = ["CounterService"]


class CounterService(Counter):
    """Sells."""

    async def sell(self, request: Item.Wish, /) -> Item:
        """Sells one."""
        return Item()

    async def drop(self, request: Item, /) -> Empty:
        """Serve ``/shop.v1.Counter/Drop``."""
        return Empty()

    async def collect(self, requests: AsyncIterator[Item], /) -> Item:
        """Serve ``/shop.v1.Counter/Collect``."""
        async for _ in requests:
            continue
        return Item()

    async def watch(self, request: Item, /) -> AsyncIterator[Item]:
        """Serve ``/shop.v1.Counter/Watch``."""
        yield Item()

    async def talk(self, requests: AsyncIterator[Item], /) -> AsyncIterator[Item]:
        """Serve ``/shop.v1.Counter/Talk``."""
        async for _ in requests:
            yield Item()

    async def import_(self, request: counter_pb2.CounterService, /) -> counter_pb2.CounterService:
        """Serve ``/shop.v1.Counter/Import``."""
        return counter_pb2.CounterService()
'''
RETURNS = '''"""Service ``shop.v1.ReturnsService``."""

from __future__ import annotations

from shop.api.shop.v1 import counter_kratos
from shop.api.shop.v1.types_pb2 import Item

__all__ = ["ReturnsService"]


class ReturnsService(counter_kratos.ReturnsService):
    """Serves ``shop.v1.ReturnsService``."""

    async def take_back(self, request: Item, /) -> Item:
        """Serve ``/shop.v1.ReturnsService/TakeBack``."""
        return Item()
'''
COMMAND = ["proto", "server", PATH, "-t", "src/shop/service"]


@pytest.fixture
def project(folder: Path, write: Write, capsys: pytest.CaptureFixture[str]) -> Path:
    """A package with generated code, and a folder for services."""
    write(
        {
            PATH: DEFINITION,
            "api/shop/v1/types.proto": TYPES,
            "src/shop/__init__.py": "",
            "src/shop/service/__init__.py": "",
        }
    )
    generate()
    capsys.readouterr()
    return folder


def generate() -> None:
    assert main(["proto", "api", "-I", "api", "--out", "src/shop/api"]) == 0


def test_each_service_gets_a_class(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(COMMAND) == 0
    assert capsys.readouterr().out.split() == [
        "src/shop/service/counter.py",
        "src/shop/service/returns.py",
    ]
    assert (project / "src/shop/service/counter.py").read_text() == COUNTER
    assert (project / "src/shop/service/returns.py").read_text() == RETURNS


@pytest.mark.slow
def test_classes_and_their_tests_pass_the_checkers_and_run(project: Path, python: Python) -> None:
    (project / "tests").mkdir()
    assert main([*COMMAND, "--tests", "tests"]) == 0
    source = project / "src"
    ruff = ("--isolated", "--config", "line-length=100", "--config", 'src=["src"]')
    python("-m", "ruff", "check", *ruff, "--select=E,F,I,UP,RUF", "src/shop/service", "tests")
    python("-m", "ruff", "format", *ruff, "--check", "src/shop/service", "tests")
    python("-m", "mypy", "--strict", "--cache-dir=.mypy", "src/shop", "tests", path=source)
    settings = {"typeCheckingMode": "strict", "include": ["src", "tests"], "extraPaths": ["src"]}
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    python("-m", "pyright", "--pythonpath", sys.executable)
    shown = python("-m", "pytest", "-q", "-p", "no:randomly", "tests", path=source)
    assert "7 passed" in shown


def test_a_class_that_is_there_stays(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(COMMAND) == 0
    path = project / "src/shop/service/counter.py"
    path.write_text(COUNTER.replace("return Empty()", "return Empty()  # mine"))
    assert main(COMMAND) == 0
    assert "return Empty()  # mine" in path.read_text()
    assert "CounterService already exists: src/shop/service/counter.py\n" in capsys.readouterr().err


@pytest.fixture
def grown(project: Path) -> Path:
    """Services of which one has got two methods more since it was written."""
    assert main(COMMAND) == 0
    more = "  rpc Watch2(Item) returns (stream Item);\n  rpc Weigh(Item) returns (Weight);\n}"
    text = DEFINITION.replace("}\nservice", f"{more}\nmessage Weight {{}}\nservice", 1)
    (project / PATH).write_text(text)
    generate()
    return project


def test_new_methods_are_reported(grown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(COMMAND) == 1
    shown = capsys.readouterr().err
    where = "src/shop/service/counter.py:16: CounterService lacks"
    assert f"{where} watch2 (rpc Watch2)\n{where} weigh (rpc Weigh)\n" in shown
    assert shown.endswith("kratos proto: error: methods are missing; --append adds them\n")
    assert (grown / "src/shop/service/counter.py").read_text() == COUNTER


def test_new_methods_are_added_when_asked(grown: Path, python: Python) -> None:
    path = grown / "src/shop/service/counter.py"
    path.write_text(path.read_text() + "\n\nVERSION = 1\n")
    assert main([*COMMAND, "--append"]) == 0
    added = '''
    async def watch2(self, request: Item, /) -> AsyncIterator[Item]:
        """Serve ``/shop.v1.Counter/Watch2``."""
        yield Item()

    async def weigh(self, request: Item, /) -> Weight:
        """Serve ``/shop.v1.Counter/Weigh``."""
        return Weight()


VERSION = 1
'''
    text = path.read_text()
    assert text.endswith(added)
    assert text.replace("from shop.api.shop.v1.counter_pb2 import Weight\n", "") == (
        COUNTER + added
    )
    assert main(COMMAND) == 0
    program = "from shop.service.counter import CounterService; CounterService(); print('fine')"
    assert python("-c", program, path=grown / "src") == "fine\n"


def test_nothing_is_added_where_a_name_is_taken(grown: Path) -> None:
    path = grown / "src/shop/service/counter.py"
    path.write_text(path.read_text() + "\n\nWeight = float\n")
    assert main([*COMMAND, "--append"]) == 0
    text = path.read_text()
    assert "-> counter_pb2.Weight:" in text
    assert "import Weight" not in text


def test_methods_keep_the_indentation_and_line_ends_of_the_class(grown: Path) -> None:
    path = grown / "src/shop/service/counter.py"
    path.write_bytes(
        b"from shop.api.shop.v1.counter_kratos import Counter\r\n"
        b"class Mine(Counter):\r\n"
        b"  sell = drop = collect = watch = talk = import_ = watch2 = None"
    )
    assert main([*COMMAND, "--append"]) == 0
    assert path.read_bytes() == (
        b"from shop.api.shop.v1.counter_kratos import Counter\r\n"
        b"from shop.api.shop.v1.counter_pb2 import Weight\r\n"
        b"from shop.api.shop.v1.types_pb2 import Item\r\n"
        b"class Mine(Counter):\r\n"
        b"  sell = drop = collect = watch = talk = import_ = watch2 = None\r\n"
        b"\r\n"
        b"  async def weigh(self, request: Item, /) -> Weight:\r\n"
        b'      """Serve ``/shop.v1.Counter/Weigh``."""\r\n'
        b"      return Weight()\r\n"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("class Other: ...\n", "has no class of Counter"),
        ("class CounterService(\n", "cannot be read"),
        ("class CounterService(Counter): sell = 1\n", "the class stands on one line"),
    ],
)
def test_a_file_that_nothing_can_be_added_to_is_named(
    grown: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    path = grown / "src/shop/service/counter.py"
    path.write_text(text)
    assert main([*COMMAND, "--append"]) == 1
    shown = capsys.readouterr().err
    assert reason in shown
    assert "src/shop/service/counter.py" in shown
    assert path.read_text() == text


@pytest.mark.parametrize(
    "beginning",
    [
        "    def __init__(self, store: str, size: int = 3, *, limit: int) -> None:\n        pass\n",
        "    store: str\n    limit: int\n    size: int = 3\n",
    ],
)
def test_tests_of_a_class_that_needs_something_wait_until_it_is_made(
    project: Path, python: Python, beginning: str
) -> None:
    assert main(COMMAND) == 0
    path = project / "src/shop/service/counter.py"
    head = "@dataclass\nclass Mine(" if "size: int = 3\n" in beginning else "class Mine("
    text = COUNTER.replace("class CounterService(", head)
    text = text.replace('    """Sells."""\n', beginning)
    text = text.replace('"CounterService"', '"Mine"')
    text = text.replace("\nfrom google", "from dataclasses import dataclass\n\nfrom google")
    path.write_text(text)
    assert main([*COMMAND, "--tests", "."]) == 0
    written = (project / "test_counter.py").read_text()
    assert "def service() -> Mine:" in written
    assert "async def test_sell(service: Mine) -> None:\n    async with serving(service)" in written
    command = ("-m", "pytest", "-rs", "-p", "no:randomly", "test_counter.py")
    shown = python(*command, path=project / "src")
    assert "make the service here: it needs store, limit" in shown
    assert "6 skipped" in shown


def test_tests_that_are_there_stay(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "test_counter.py").write_text("mine")
    assert main([*COMMAND, "--tests", "."]) == 0
    assert "tests already exist: test_counter.py\n" in capsys.readouterr().err
    assert (project / "test_counter.py").read_text() == "mine"
    assert "from shop.service.returns import ReturnsService" in (
        (project / "test_returns.py").read_text()
    )


def test_generated_code_beside_its_definition_is_found(
    folder: Path, write: Write, python: Python
) -> None:
    write({PATH: DEFINITION.replace("shop/v1", "api/shop/v1"), "api/shop/v1/types.proto": TYPES})
    (folder / "service").mkdir()
    assert main(["proto", "api"]) == 0
    assert main(["proto", "server", PATH, "-t", "service"]) == 0
    text = (folder / "service/counter.py").read_text()
    assert "from api.shop.v1.counter_kratos import Counter\n" in text
    python("-c", "from service.counter import CounterService; CounterService()")


def test_code_that_was_generated_under_two_names_is_told_by_them(
    folder: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "api/demo/v1/demo.proto"
    made = "rpc Make(Demo) returns (Demo);"
    text = f"package demo.v1; message Demo {{}} service Demos {{ {made} }}"
    write({path: f'syntax = "proto3"; {text}'})
    assert main(["proto", "api"]) == 0
    assert main(["proto", "api", "-I", "api"]) == 0
    (folder / "service").mkdir()
    capsys.readouterr()
    assert main(["proto", "server", path, "-t", "service"]) == 2
    told = capsys.readouterr().err
    assert f"as {path}" in told
    assert "as demo/v1/demo.proto" in told
    assert "choose one" not in told


def test_generated_code_in_two_places_must_be_chosen(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proto", "api", "-I", "api", "--out", "src/shop/again"]) == 0
    assert main(COMMAND) == 2
    assert "choose one with --out" in capsys.readouterr().err
    assert main([*COMMAND, "--out", "src/shop/again"]) == 0
    text = (project / "src/shop/service/counter.py").read_text()
    assert "from shop.again.shop.v1.counter_kratos import Counter\n" in text


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["nope.proto"], 2, "nope.proto does not exist"),
        (["pyproject.toml"], 2, "pyproject.toml is no .proto file"),
        ([PATH], 1, "generate it first (kratos proto api/shop/v1/counter.proto)"),
        ([PATH, "-t", "nope"], 2, "target directory: nope does not exist"),
        ([PATH, "--tests", "nope"], 2, "target directory: nope does not exist"),
    ],
)
def test_wrong_arguments_are_answered_with_the_reason(
    folder: Path,
    write: Write,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    reason: str,
) -> None:
    write({PATH: DEFINITION, "pyproject.toml": ""})
    (folder / "internal/service").mkdir(parents=True)
    assert main(["proto", "server", *arguments]) == status
    assert reason in capsys.readouterr().err


def test_a_definition_without_services_is_refused(
    folder: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = 'import "errors/errors.proto"; enum R { A = 0 [(errors.code) = 404]; }'
    write({"a/r.proto": f'syntax = "proto3"; {reasons}'})
    assert main(["proto", "a"]) == 0
    assert main(["proto", "server", "a/r.proto", "-t", "."]) == 2
    assert "a/r.proto has no service" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mark", "line", "newline", "end"),
    [
        ("\ufeff", "", "\n", "\n"),
        ("", 'PAGE = "a\x0cb\u2028c"  # \x85 \x1c', "\n", "\n"),
        ("", 'PAGE = """a\x0c\x0b"""', "\r\n", "\r\n"),
        ("", "", "\n", ""),
    ],
    ids=["mark of the encoding", "odd ends of lines", "line ends of Windows", "no end"],
)
def test_methods_are_added_to_a_file_of_any_characters(
    grown: Path, mark: str, line: str, newline: str, end: str
) -> None:
    path = grown / "src/shop/service/counter.py"
    before = COUNTER.replace("__all__", f"{line}\n__all__").replace("\n", newline)
    before = mark + before.removesuffix(newline) + end
    path.write_text(before, encoding="utf-8", newline="")
    assert main([*COMMAND, "--append"]) == 0
    imported = f"from shop.api.shop.v1.counter_pb2 import Weight{newline}"
    found = path.read_bytes().decode()
    kept, _, added = found.replace(imported, "").partition(f"{newline}    async def watch2(")
    assert kept == (before if end else before + newline)
    assert added.count("\n") == added.count(newline) == 7
    assert found.count(imported) == 1
    assert main(COMMAND) == 0


def test_definition_whose_name_is_none_of_python_finds_its_code(folder: Path, write: Write) -> None:
    service = "service Counter {\n  rpc Sell(Item) returns (Item);\n}\nmessage Item {}\n"
    write({"api/my-shop.proto": f'syntax = "proto3";\npackage shop;\n{service}'})
    (folder / "service").mkdir()
    assert main(["proto", "api/my-shop.proto", "-I", "api", "-o", "gen"]) == 0
    assert main(["proto", "server", "api/my-shop.proto", "-t", "service"]) == 0
    text = (folder / "service/counter.py").read_text()
    assert "from gen.my_shop_kratos import Counter\n" in text
