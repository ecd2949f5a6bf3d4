"""Templates of others: folders, repositories, projects that are templates as they stand."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kratos_cli.cloning import clone
from kratos_cli.ending import Terminated, terminable

Kratos = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def write(folder: Path, texts: Mapping[str, str]) -> Path:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=n@example.com")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    texts = {"src/{{package}}/__init__.py.tmpl": "NAME = '{{name}}'\n", "README.md": "{{name}}\n"}
    return write(tmp_path / "template", texts)


@pytest.fixture
def repository(template: Path) -> Path:
    """A repository of git with the template on ``main``, and another on ``next``."""
    git(template, "init", "--quiet", "--initial-branch", "main")
    git(template, "add", ".")
    git(template, "commit", "--quiet", "-m", "first")
    git(template, "switch", "--quiet", "-c", "next")
    write(template, {"README.md": "next {{name}}\n"})
    git(template, "commit", "--quiet", "-a", "-m", "second")
    git(template, "switch", "--quiet", "main")
    return template


def test_folder_is_a_template(here: Path, new: Kratos, template: Path) -> None:
    assert new("my-shop", "--repo", str(template)) == 0
    assert (here / "my-shop/src/my_shop/__init__.py").read_text() == "NAME = 'my-shop'\n"
    assert (here / "my-shop/README.md").read_text() == "my-shop\n"


def test_environment_names_the_template(
    here: Path, new: Kratos, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRATOS_LAYOUT_REPO", str(template))
    assert new("shop") == 0
    assert (here / "shop/README.md").read_text() == "shop\n"


def test_folder_of_a_checkout_is_taken_as_it_stands(
    here: Path, new: Kratos, repository: Path
) -> None:
    write(repository, {"README.md": "not committed\n"})
    assert new("shop", "--repo", str(repository)) == 0
    assert (here / "shop/README.md").read_text() == "not committed\n"
    assert not (here / "shop/.git").exists()


@pytest.mark.parametrize(("branch", "text"), [((), "shop\n"), (("-b", "next"), "next shop\n")])
def test_repository_is_cloned(
    here: Path, new: Kratos, repository: Path, branch: tuple[str, ...], text: str
) -> None:
    assert new("shop", "--repo", f"file://{repository}", *branch) == 0
    assert (here / "shop/README.md").read_text() == text
    assert not (here / "shop/.git").exists()


def test_branch_of_a_folder_is_what_is_committed(here: Path, new: Kratos, repository: Path) -> None:
    write(repository, {"README.md": "not committed\n"})
    assert new("shop", "--repo", str(repository), "--branch", "main") == 0
    assert (here / "shop/README.md").read_text() == "shop\n"


def test_repository_that_is_not_there_is_told(
    here: Path, new: Kratos, tmp_path: Path, capsys: Captured
) -> None:
    assert new("shop", "--repo", f"file://{tmp_path}/nowhere") == 1
    assert f"cannot be had from file://{tmp_path}/nowhere" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_branch_that_is_not_there_is_told(
    here: Path, new: Kratos, repository: Path, capsys: Captured
) -> None:
    assert new("shop", "--repo", str(repository), "--branch", "lost") == 1
    assert "lost" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_branch_needs_a_repository(new: Kratos, capsys: Captured) -> None:
    assert new("shop", "--branch", "next") == 2
    assert "name it with --repo" in capsys.readouterr().err


def test_url_is_no_option_of_git(here: Path, new: Kratos, tmp_path: Path, capsys: Captured) -> None:
    assert new("shop", f"--repo=--upload-pack=touch {tmp_path}/hacked") == 1
    assert "cannot be had" in capsys.readouterr().err
    assert not (tmp_path / "hacked").exists()


# The forms of cmd/kratos/internal/base/repo_test.go and vcs_url_test.go.
@pytest.mark.parametrize(
    "url",
    [
        "ssh://git@github.com:7875/go-kratos/kratos.git",
        "ssh://git@github.com:7875/~me/kratos.git",
        "git://github.com:7875/go-kratos/kratos.git",
        "https://github.com:7875/go-kratos/kratos.git",
        "ftps://github.com:7875/go-kratos/kratos.git",
        "git@github.com:go-kratos/kratos.git",
        "git@github.com:/~me/kratos.git",
        "//github.com/go-kratos/kratos.git",
        "file://./github.com/go-kratos/kratos.git",
        "~/go-kratos/kratos.git",
    ],
)
def test_url_reaches_git_as_it_is(
    here: Path,
    new: Kratos,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    url: str,
) -> None:
    loud = write(tmp_path, {"bin/git": '#!/bin/sh\nprintf "%s\\n" "$@" >&2\nexit 7\n'}) / "bin"
    (loud / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{loud}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(here))
    assert new("shop", "--repo", url, "--branch", "next") == 1
    told = capsys.readouterr().err.splitlines()
    assert told[told.index("--") + 1] == url
    assert told[told.index("--branch") + 1] == "next"


def test_git_that_takes_too_long_is_ended(
    here: Path, new: Kratos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    slow = write(tmp_path, {"bin/git": "#!/bin/sh\nexec sleep 60\n"}) / "bin"
    (slow / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow}{os.pathsep}{os.environ['PATH']}")
    assert new("shop", "--repo", "https://example.com/x.git", "--timeout", "0.1") == 1
    assert "was not cloned within 0.1 s; --timeout gives it longer" in capsys.readouterr().err


def test_machine_without_git_is_told(
    new: Kratos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert new("shop", "--repo", "https://example.com/x.git") == 1
    assert "no git to clone it with" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf", "nan"])
def test_time_limit_is_a_number_of_seconds(new: Kratos, capsys: Captured, seconds: str) -> None:
    with pytest.raises(SystemExit) as caught:
        new("shop", f"--timeout={seconds}")
    assert caught.value.code == 2
    assert "is no number of seconds above 0" in capsys.readouterr().err


def test_project_that_stands_as_it_is_gets_the_new_name(
    here: Path, new: Kratos, tmp_path: Path
) -> None:
    template = write(
        tmp_path / "template",
        {
            "kratos-template.toml": 'rename = "our-layout"\n',
            "src/our_layout/app.py": "from our_layout import x  # our-layout, OUR_LAYOUT_CONF\n",
            "other.txt": "our-layout-2 hour_layout our_layouts YOUR_LAYOUT_X\n",
        },
    )
    assert new("my-shop", "--repo", str(template)) == 0
    app = (here / "my-shop/src/my_shop/app.py").read_text()
    assert app == "from my_shop import x  # my-shop, MY_SHOP_CONF\n"
    assert (here / "my-shop/other.txt").read_text() == (template / "other.txt").read_text()
    assert not (here / "my-shop/kratos-template.toml").exists()


def test_pictures_are_copied_and_programs_stay_programs(
    here: Path, new: Kratos, template: Path
) -> None:
    picture = b"\x89PNG\xff{{name}}"
    (template / "logo.png").write_bytes(picture)
    write(template, {"run.tmpl": "#!/bin/sh\n", "tool": "x\n", "empty.tmpl": ""})
    (template / "tool").chmod(0o755)
    assert new("shop", "--repo", str(template)) == 0
    assert (here / "shop/logo.png").read_bytes() == picture
    assert (here / "shop/empty").read_bytes() == b""
    files = [path for path in (here / "shop").rglob("*") if path.is_file()]
    assert {path.name for path in files if os.access(path, os.X_OK)} == {"run", "tool"}


def test_left_overs_of_tools_are_no_part_of_a_template(
    here: Path, new: Kratos, template: Path
) -> None:
    write(template, {"src/__pycache__/x.pyc": "", ".venv/y": "", ".ruff_cache/z": ""})
    assert new("shop", "--repo", str(template)) == 0
    assert not {path.name for path in (here / "shop").rglob("*")} & {"x.pyc", "y", "z"}


def test_links_are_refused(here: Path, new: Kratos, template: Path, capsys: Captured) -> None:
    (template / "link").symlink_to("/etc/hostname")
    assert new("shop", "--repo", str(template)) == 1
    assert "the template's link is a link" in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("out", ["{outside}", "../../outside", "x/../../../outside"])
@pytest.mark.parametrize("key", ["protos", "root", "out"])
def test_nothing_is_generated_from_or_into_what_is_outside(
    here: Path, new: Kratos, template: Path, capsys: Captured, key: str, out: str
) -> None:
    outside = write(here.parent / "outside", {"a.proto": 'syntax = "proto3";\npackage a;\n'})
    write(template, {"api/b.proto": 'syntax = "proto3";\npackage b;\n'})
    places = {"protos": "api", "root": "api", "out": "gen"} | {key: out.format(outside=outside)}
    table = "".join(f"{name} = {place!r}\n" for name, place in places.items())
    write(template, {"kratos-template.toml": f"[[generate]]\n{table}"})
    assert new("shop", "--repo", str(template)) == 1
    assert f"{key} = {places[key]!r} leads out of the project" in capsys.readouterr().err
    assert [path.name for path in outside.iterdir()] == ["a.proto"]
    assert list(here.iterdir()) == []


def test_names_that_meet_or_vanish_are_refused(
    here: Path, new: Kratos, template: Path, capsys: Captured
) -> None:
    write(template, {"README.md.tmpl": "again\n"})
    assert new("shop", "--repo", str(template)) == 1
    assert "README.md twice: README.md and README.md.tmpl" in capsys.readouterr().err
    (template / "README.md.tmpl").rename(template / "...tmpl")
    assert new("shop", "--repo", str(template)) == 1
    assert "the template's ...tmpl has no name without .tmpl" in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("not toml", "kratos-template.toml is wrong"),
        ("renam = 'x'", "there is no renam; did you mean 'rename'?"),
        ("[service]\nxyz = []", "there is no service.xyz; there are without"),
        ("[[generate]]\nrot = ''", "there is no generate.rot; did you mean 'root'?"),
        ("[[generate]]\nprotos = 'api'\n", "has the texts protos, root and out"),
        ("generate = 3\n", "has the texts protos, root and out"),
        ("[service]\nwithout = 'api'\n", "'without' has to be a list of texts"),
        ("service = 3\n", "'without' has to be a list of texts"),
    ],
)
def test_settings_that_are_wrong_are_told(
    here: Path, new: Kratos, template: Path, capsys: Captured, settings: str, told: str
) -> None:
    write(template, {"kratos-template.toml": settings})
    assert new("shop", "--repo", str(template)) == 1
    assert told in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_template_that_says_nothing_of_hatch_says_how_to_go_on(
    new: Kratos, template: Path, capsys: Captured
) -> None:
    assert new("shop", "--repo", str(template)) == 0
    assert "said by the template's author" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_signal_ends_it_and_nothing_is_left(
    here: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = "import sys; from kratos_cli.main import main; sys.exit(main())"
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"git://127.0.0.1:{server.getsockname()[1]}/never"
        with subprocess.Popen(
            [sys.executable, "-c", program, "new", "shop", "--repo", url],
            env={**os.environ, "TMPDIR": str(temporary)},
            stderr=subprocess.PIPE,
        ) as process:
            connection, _ = server.accept()  # by git, which waits for an answer
            with connection:
                process.send_signal(number)
                assert process.wait() == status
                while connection.recv(1024):  # until git has ended, too
                    continue
            assert process.stderr is not None
            assert process.stderr.read() == b""
    assert [*here.iterdir(), *temporary.iterdir()] == []


def test_signal_that_comes_while_git_begins_ends_that_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    begin: type[subprocess.Popen[bytes]] = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        begun.append(begin(*arguments, **options))
        signal.raise_signal(signal.SIGTERM)
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"git://127.0.0.1:{server.getsockname()[1]}/never"
        with pytest.raises(Terminated), terminable():
            clone(url, tmp_path / "shop", what="the template", timeout=10)
    assert [process.poll() for process in begun] == [-signal.SIGKILL]
