"""``--fix`` mends what is safe, and no more; comments that allow nothing go as well."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kratos_cli import lint as command
from kratos_cli.main import main

Lint = Callable[..., list[str]]
Write = Callable[[Mapping[str, str]], None]

MENDED = {
    "sleep": (
        ('"""Text."""\n\nfrom __future__ import annotations\n\nimport time\n\n\nasync def f():\n'
        "    time.sleep(1)\n"),
        ('"""Text."""\n\nfrom __future__ import annotations\n\nimport asyncio\nimport time\n\n\n'
        "async def f():\n    await asyncio.sleep(1)\n"),
    ),
    "two of them, and the import is there": (
        "import asyncio\nimport time\nasync def f():\n    time.sleep(1); time.sleep(2)\n",
        ("import asyncio\nimport time\nasync def f():\n"
        "    await asyncio.sleep(1); await asyncio.sleep(2)\n"),
    ),
    "two of them, one import": (
        "from time import sleep\nasync def f():\n    sleep(1)\n    sleep(2)\n",
        ("import asyncio\nfrom time import sleep\nasync def f():\n    await asyncio.sleep(1)\n"
        "    await asyncio.sleep(2)\n"),
    ),
    "behind characters of several bytes": (
        "async def f(): ...\nasync def g():\n    'äöü 🦀'; f()\n",
        "async def f(): ...\nasync def g():\n    'äöü 🦀'; await f()\n",
    ),
    "line ends of Windows": (
        "import time\r\nasync def f():\r\n    time.sleep(1)\r\n",
        "import asyncio\r\nimport time\r\nasync def f():\r\n    await asyncio.sleep(1)\r\n",
    ),
    "an option": (
        "from kratos import App\nApp(name='a', drain_dely=1)\n",
        "from kratos import App\nApp(name='a', drain_delay=1)\n",
    ),
    "an idle comment": (
        "a = 1  # kratos: ignore[KR201]\nb = 2  # why\n",
        "a = 1\nb = 2  # why\n",
    ),
    "a part of a comment": (
        "import time\nasync def f():\n    return time.sleep(1)  # kratos: ignore[KR201, KR202]\n",
        "import time\nasync def f():\n    return time.sleep(1)  # kratos: ignore[KR201]\n",
    ),
}  # fmt: skip

# Which of the two comes out depends on the version of Python: see the test.
WITHIN = "from kratos import App\na = 'drain_dely'\nb = f'{App(drain_dely=1)}'\n"

LEFT = {
    "a value": "import time\nasync def f():\n    return time.sleep(1)\n",
    "asyncio is something else": "import time\nasyncio = 1\nasync def f():\n    time.sleep(1)\n",
    "no place to await": "async def f(): ...\ndef g():\n    f()\n",
    "an option that is like two": "from kratos import App\nApp(befor_stat=1)\n",
    "an option that is like none": "from kratos import App\nApp(zzz=1)\n",
}  # fmt: skip


@pytest.mark.parametrize("name", MENDED)
def test_is_mended(write: Write, lint: Lint, folder: Path, name: str) -> None:
    before, after = MENDED[name]
    write({"code.py": before})
    assert lint("--fix", status=0) == []
    assert (folder / "code.py").read_bytes().decode() == after
    assert lint(status=0) == []


@pytest.mark.parametrize("name", LEFT)
def test_is_left_and_told(write: Write, lint: Lint, folder: Path, name: str) -> None:
    write({"code.py": LEFT[name]})
    assert len(lint("--fix")) == 1
    assert (folder / "code.py").read_text() == LEFT[name]


def test_text_that_is_not_meant_stays(write: Write, folder: Path) -> None:
    write({"code.py": WITHIN})
    main(["lint", "--fix"])
    mended = WITHIN.replace("App(drain_dely", "App(drain_delay")
    assert (folder / "code.py").read_text() in (WITHIN, mended)


def test_mark_and_mode_of_a_file_stay(write: Write, lint: Lint, folder: Path) -> None:
    write({"code.py": "\ufeffasync def f():\n    f()\n"})
    (folder / "code.py").chmod(0o750)
    (folder / "link.py").symlink_to("code.py")
    assert lint("link.py", "--fix", status=0) == []
    assert (folder / "code.py").read_text() == "\ufeffasync def f():\n    await f()\n"
    assert stat.S_IMODE((folder / "code.py").stat().st_mode) == 0o750
    assert (folder / "link.py").is_symlink()
    assert sorted(path.name for path in folder.iterdir()) == ["code.py", "link.py"]


def test_without_the_option_nothing_changes(
    write: Write, folder: Path, capsys: pytest.CaptureFixture[str], lint: Lint
) -> None:
    write({"code.py": "async def f():\n    f()\n"})
    assert main(["lint"]) == 1
    assert capsys.readouterr().err == "kratos lint: error: 1 finding; --fix mends 1\n"
    assert (folder / "code.py").read_text() == "async def f():\n    f()\n"


def test_file_that_has_changed_since_it_was_looked_at_stays_as_it_is(
    write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, mended = MENDED["sleep"]
    newer = f"# Somebody was faster.\n{text}"
    write({"shop.py": text})
    look = command.lint

    def looked_at(*given: Any, **options: Any) -> Any:
        found = look(*given, **options)
        write({"shop.py": newer})
        return found

    monkeypatch.setattr(command, "lint", looked_at)
    assert main(["lint", "--fix"]) == 1
    assert (folder / "shop.py").read_text() == newer
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert main(["lint", "--fix"]) == 0
    assert (folder / "shop.py").read_text() == f"# Somebody was faster.\n{mended}"


def test_read_only_file_stays_as_it_is_and_is_told(
    write: Write, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = MENDED["sleep"]
    write({"shop.py": text})
    (folder / "shop.py").chmod(0o444)
    assert main(["lint", "--fix"]) == 1
    assert f"{folder / 'shop.py'}: it is read-only" in capsys.readouterr().err
    assert (folder / "shop.py").read_text() == text
    assert [each.name for each in folder.iterdir()] == ["shop.py"]
