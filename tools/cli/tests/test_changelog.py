"""``kratos changelog``: commits of a range, in groups."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from kratos_cli.main import main

WHO = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.com",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+00:00",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.com",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+00:00",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, env=os.environ | WHO
    )


def commit(folder: Path, *messages: str) -> None:
    for message in messages:
        git(folder, "commit", "--allow-empty", "-m", message)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "first")
    git(tmp_path, "tag", "v1.0.0")
    commit(tmp_path, "feat: a feature", "fix(http): a mistake", "chore: tidy up")
    git(tmp_path, "tag", "v1.1.0")
    commit(
        tmp_path,
        "deps: newer things",
        "feat(grpc)!: another way",
        "fix: x\n\nBREAKING CHANGE: a name is gone",
        "Say it: in plain words",
    )
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], repository: Path, *words: str) -> list[str]:
    assert main(["changelog", *words, "--repo", str(repository)]) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line.rpartition(" (")[0] if line.startswith("- ") else line for line in lines]


def test_what_follows_the_last_tag_is_told_in_groups(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, repository) == [
        "### Breaking Changes",
        "- fix: x",
        "- feat(grpc)!: another way",
        "",
        "### Dependencies",
        "- deps: newer things",
        "",
        "### Others",
        "- Say it: in plain words",
    ]


@pytest.mark.parametrize("which", ["latest", "v1.1.0", "1.1.0"])
def test_release_is_told_with_its_author_and_date(
    which: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, repository, which) == [
        "Version: v1.1.0",
        "Author: Ann",
        "Date: 2026-01-02T03:04:05+00:00",
        "-" * 44,
        "### New Features",
        "- feat: a feature",
        "",
        "### Bug Fixes",
        "- fix(http): a mistake",
        "",
        "### Chores",
        "- chore: tidy up",
    ]


def test_first_release_has_all_before_it(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys, repository, "v1.0.0")[-2:] == ["### Others", "- first"]


def test_range_and_path_limit_it(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "docs").mkdir()
    (repository / "docs/x.md").touch()
    git(repository, "add", ".")
    commit(repository, "feat: told")
    assert "- feat: told" in shown(capsys, repository, "v1.1.0..HEAD")
    assert shown(capsys, repository, "v1.0.0..", "--path", "docs") == [
        "### New Features",
        "- feat: told",
    ]
    assert shown(capsys, repository, "HEAD..HEAD") == ["nothing has changed"]


def test_tags_of_one_distribution_are_its_releases(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "tag", "other/v9")
    assert shown(capsys, repository) == ["nothing has changed"]
    assert "- deps: newer things" in shown(capsys, repository, "--match", "v*")


def test_commits_are_told_as_json(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["changelog", "--repo", str(repository), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["Breaking Changes", "Dependencies", "Others"]
    assert told["Dependencies"][0]["author"] == "Ann"


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (["v7"], 2, "there is no tag 'v7'"),
        (["nowhere..HEAD"], 1, "git log in"),
        (["--output=x.."], 2, "there is no option"),
    ],
)
def test_what_cannot_be_told_says_why(
    words: list[str],
    status: int,
    problem: str,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        ended: object = main(["changelog", "--repo", str(repository), *words])
    except SystemExit as exited:
        ended = exited.code
    assert ended == status
    assert problem in capsys.readouterr().err


def test_repository_elsewhere_is_fetched(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["changelog", "latest", "--repo", repository.as_uri()]) == 0
    by_option = capsys.readouterr().out
    assert "- feat: a feature" in by_option
    monkeypatch.setenv("KRATOS_REPO", repository.as_uri())
    assert main(["changelog", "latest"]) == 0
    assert capsys.readouterr().out == by_option


# The forms of cmd/kratos/internal/change/get_test.go: git knows them, so nothing is read into them.
@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/go-kratos/kratos.git",
        "https://github.com/go-kratos/kratos",
        "git@github.com:go-kratos/kratos.git",
        "https://github.com/go-kratos/go-kratos.dev.git",
        "--upload-pack=x",
    ],
)
def test_url_reaches_git_as_it_is(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git = tmp_path / "git"
    git.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >&2\nexit 7\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert main(["changelog", f"--repo={url}"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"kratos changelog: error: the history cannot be had from {url}: ")
    assert told[told.index("--") + 1] == url


def test_folder_without_a_repository_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert main(["changelog", "--repo", str(tmp_path)]) == 1
    assert "not a git repository" in capsys.readouterr().err


def test_signatures_are_not_asked_for(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "gpg"
    program.write_text("#!/bin/sh\ntouch asked\necho told >&2\n")
    program.chmod(0o755)
    git(repository, "config", "log.showSignature", "true")
    git(repository, "config", "gpg.program", str(program))
    tree = subprocess.check_output(["git", "-C", str(repository), "write-tree"], text=True).strip()
    who = "a <a@example.com> 1700000000 +0000"
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\ngpgsig x\n\nfix: signed\n"
    signed = subprocess.check_output(
        ["git", "-C", str(repository), "hash-object", "-t", "commit", "-w", "--stdin"],
        input=text,
        text=True,
    ).strip()
    assert main(["changelog", signed, "--repo", str(repository)]) == 2  # which is no tag
    assert main(["changelog", f"..{signed}", "--repo", str(repository)]) == 0
    assert capsys.readouterr().out == f"### Bug Fixes\n- fix: signed ({signed[:7]})\n"
    assert not (repository / "asked").exists()


def test_message_of_any_characters_is_one_commit_and_moves_no_cursor(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repository, "tag", "v2.0.0")
    commit(repository, "feat: \x1b[2Jone\x1e two\x1f three\u202e\n\nbody\x1f\x1e")
    assert main(["changelog", "--repo", str(repository)]) == 0
    _, line = capsys.readouterr().out.splitlines()
    assert line.startswith(r"- feat: \u001b[2Jone\u001e two\u001f three\u202e (")
