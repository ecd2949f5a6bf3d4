"""``kratos proto breaking``: against a folder, descriptors, a wheel, and git."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kratos_cli.main import main
from kratos_cli.proto import against

Write = Callable[[Mapping[str, str]], None]

OLD = """syntax = "proto3";
package shop.v1;
import "shop/v1/types.proto";
message Order { string name = 1; Money price = 2; }
"""
NEW = OLD.replace("string name = 1", "string name = 3")
TYPES = 'syntax = "proto3"; package shop.v1; message Money { int64 cents = 1; }'
FOUND = """\
api/shop/v1/order.proto:4:1: field name of Order had the number 1, and has 3; give it back \
(FIELD_NO_DELETE)
shop/v1/types.proto: the definition is gone; keep it, or make a new version of the package \
(FILE_NO_DELETE)
"""
COMMAND = ["proto", "breaking", "api", "-I", "api", "--engine", "kratos", "--against"]


@pytest.fixture
def old(write: Write) -> None:
    """Definitions before a change."""
    write({"api/shop/v1/order.proto": OLD, "api/shop/v1/types.proto": TYPES})


@pytest.fixture
def change(folder: Path) -> Callable[[], None]:
    """Renumber a field, and move a type into the definition that uses it."""

    def do() -> None:
        inline = NEW.replace('import "shop/v1/types.proto";', "")
        (folder / "api/shop/v1/order.proto").write_text(
            inline + "message Money { int64 cents = 1; }\n"
        )
        (folder / "api/shop/v1/types.proto").unlink()

    return do


@pytest.mark.slow
def test_a_folder_is_an_older_state(
    folder: Path, old: None, change: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(folder / "api", folder / "before")
    assert main([*COMMAND, "before"]) == 0
    change()
    assert main([*COMMAND, "before"]) == 1
    shown = capsys.readouterr()
    assert shown.out == FOUND
    assert shown.err == "kratos proto: error: 2 breaking changes\n"
    assert main([*COMMAND, "before", "--json", "--ignore", "FIELD_NO_DELETE"]) == 1
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["file"], told["line"], told["rule"]) == (
        "shop/v1/types.proto",
        0,
        "FILE_NO_DELETE",
    )


@pytest.mark.slow
def test_a_wheel_and_descriptors_are_older_states(
    folder: Path, old: None, change: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proto", "wheel", "api", "--name", "acme-protos", "--version", "1.0"]) == 0
    wheel = "dist/acme_protos-1.0-py3-none-any.whl"
    shutil.unpack_archive(folder / wheel, folder / "unpacked", "zip")
    change()
    capsys.readouterr()
    for state in (wheel, "unpacked/acme_protos/descriptors.binpb"):
        assert main([*COMMAND, state]) == 1
        assert capsys.readouterr().out == FOUND


@pytest.mark.slow
def test_a_revision_of_git_is_an_older_state(
    folder: Path, old: None, change: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*words: str) -> None:
        author = ("-c", "user.name=me", "-c", "user.email=me@example.com")
        subprocess.run(["git", *author, *words], check=True, capture_output=True, cwd=folder)

    git("init", "--initial-branch=main")
    git("add", ".")
    git("commit", "--message=before", "--no-gpg-sign")
    assert main([*COMMAND, "main"]) == 0
    change()
    assert main([*COMMAND, "main"]) == 1
    assert capsys.readouterr().out == FOUND
    assert main([*COMMAND, "nope"]) == 2
    assert "nope is no file, no folder and no revision of git here" in capsys.readouterr().err


def test_definitions_that_are_new_break_nothing(
    folder: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write({"api/shop/v1/types.proto": TYPES})
    (folder / "before").mkdir()
    assert main([*COMMAND, "before"]) == 0


def test_a_file_without_descriptors_is_refused(
    folder: Path, old: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("state.binpb", "state.whl"):
        (folder / name).write_bytes(b"\xff\xff")
        assert main([*COMMAND, name]) == 2
        assert f"{name} holds no descriptors" in capsys.readouterr().err


def test_wheel_that_grows_without_end_is_refused(
    folder: Path, write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"a.proto": 'syntax = "proto3";\npackage a;\n'})
    monkeypatch.setattr(against, "_LARGEST", 1000)
    with zipfile.ZipFile(folder / "state.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/descriptors.binpb", bytes(1001))
    assert main(["proto", "breaking", "a.proto", "--against", "state.whl"]) == 1
    assert "its descriptors have more than 1000 bytes" in capsys.readouterr().err
