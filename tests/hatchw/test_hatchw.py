"""The wrapper on machines that lack something, and on those that were interrupted."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Install = Callable[..., None]


def environments(machine: Path) -> list[Path]:
    return list((machine / "home/.cache/kratos-hatchw").glob("*/env-*"))


def test_first_run_installs_the_pinned_hatch_and_runs_it(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3.12")
    ran = hatchw("run", "test", "-k", "two words")
    assert ran.returncode == 0, ran.stderr
    assert "arguments: run test -k two words" in ran.stdout
    assert "installing hatch" in ran.stderr
    assert "hatch==1.18.2" in (machine / "home/pip").read_text()
    assert len(environments(machine)) == 1


def test_second_run_installs_nothing(machine: Path, install: Install, hatchw: Run) -> None:
    install("python3.12")
    hatchw("run", "test")
    ran = hatchw("run", "lint")
    assert "arguments: run lint" in ran.stdout
    assert ran.stderr == ""
    assert len((machine / "home/pip").read_text().splitlines()) == 1


def test_hatch_runs_at_the_root_wherever_it_is_called_from(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3")
    for folder in (ROOT / "packages" / "core", machine):
        assert f"folder: {ROOT}\n" in hatchw(cwd=folder).stdout


def test_scripts_find_hatch_by_name(machine: Path, install: Install, hatchw: Run) -> None:
    install("python3")
    ran = hatchw()
    [environment] = environments(machine)
    assert f"path: {environment}/bin:{machine}/bin\n" in ran.stdout


def test_what_hatch_runs_learns_which_process_it_is(install: Install, hatchw: Run) -> None:
    install("python3")
    [line] = [line for line in hatchw().stdout.splitlines() if line.startswith("process: ")]
    told, _, own = line.removeprefix("process: ").partition(" of ")
    assert told == own


@pytest.mark.parametrize(("given", "used"), [({}, "1"), ({"UV_SYSTEM_CERTS": "0"}, "0")])
def test_uv_trusts_the_system_unless_told_otherwise(
    install: Install, hatchw: Run, given: dict[str, str], used: str
) -> None:
    install("python3")
    assert f"certificates: {used}\n" in hatchw(**given).stdout


def test_every_interpreter_has_environments_of_its_own(
    machine: Path, install: Install, hatchw: Run
) -> None:
    cache = machine / "home/.cache/kratos-hatchw"
    install("python3", version="3.12.4")
    assert f"data: {cache}/1.18.2-3.12.4/hatch\n" in hatchw().stdout
    install("python3", version="3.13.0")
    assert f"data: {cache}/1.18.2-3.13.0/hatch\n" in hatchw().stdout


def test_settings_of_the_users_own_hatch_are_not_read(install: Install, hatchw: Run) -> None:
    install("python3")
    assert "config: .\n" in hatchw(HATCH_CONFIG="/nowhere/config.toml").stdout


def test_cache_lives_where_the_user_keeps_caches(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3")
    hatchw(XDG_CACHE_HOME=str(machine / "caches"))
    assert (machine / "caches/kratos-hatchw/1.18.2-3.12.4/current").is_file()
    assert environments(machine) == []


def test_newest_interpreter_is_taken(machine: Path, install: Install, hatchw: Run) -> None:
    install("python3.11", version="3.11.2")
    install("python3.13", version="3.13.1")
    hatchw()
    assert [path.parent.name for path in environments(machine)] == ["1.18.2-3.13.1"]


def test_name_that_does_not_run_is_passed_over(
    machine: Path, install: Install, hatchw: Run
) -> None:
    shim = machine / "bin" / "python3.13"
    shim.write_text("#!/bin/sh\necho 'not installed by the version manager' >&2\nexit 127\n")
    shim.chmod(0o755)
    install("python3", version="3.11.2")
    ran = hatchw()
    assert ran.returncode == 0, ran.stderr
    assert "version manager" not in ran.stderr


def test_no_python_is_said_with_the_remedy(hatchw: Run) -> None:
    ran = hatchw("run", "test")
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert "no Python 3.11 or newer on PATH" in ran.stderr
    assert "apt install python3 python3-venv" in ran.stderr


def test_named_interpreter_is_taken(machine: Path, install: Install, hatchw: Run) -> None:
    install("python3.13", version="3.13.1")
    install("mine", version="3.11.9")
    hatchw(KRATOS_PYTHON=str(machine / "bin" / "mine"))
    assert [path.parent.name for path in environments(machine)] == ["1.18.2-3.11.9"]


def test_named_interpreter_that_does_not_run_is_not_replaced(install: Install, hatchw: Run) -> None:
    install("python3.13")
    ran = hatchw(KRATOS_PYTHON="/nowhere/python")
    assert ran.returncode == 1
    assert "KRATOS_PYTHON is '/nowhere/python'" in ran.stderr


def test_externally_managed_interpreter_is_left_alone(
    machine: Path, install: Install, hatchw: Run
) -> None:
    # The stand-in refuses any pip install outside an environment, as Debian's does.
    install("python3", tool="ensurepip")
    assert hatchw().returncode == 0
    assert (machine / "home/pip").read_text().startswith("-m pip install")


def test_pip_of_the_system_serves_where_ensurepip_is_missing(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3", tool="pip")
    ran = hatchw()
    assert ran.returncode == 0, ran.stderr
    assert (machine / "home/pip").read_text().startswith("-m pip --python")


def test_missing_venv_is_said_with_the_package_that_has_it(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3", version="3.11.2", tool="nothing")
    ran = hatchw()
    assert ran.returncode == 1
    assert "python3 cannot make virtual environments" in ran.stderr
    assert "apt install python3.11-venv" in ran.stderr
    assert environments(machine) == []


def test_named_interpreter_without_venv_is_not_replaced(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3.13", version="3.13.1")
    install("mine", version="3.11.9", tool="nothing")
    ran = hatchw(KRATOS_PYTHON=str(machine / "bin" / "mine"))
    assert ran.returncode == 1
    assert "bin/mine cannot make virtual environments" in ran.stderr


def test_older_interpreter_serves_if_the_newer_has_no_venv(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3.13", version="3.13.1", tool="nothing")
    install("python3.11", version="3.11.2")
    assert hatchw().returncode == 0
    assert [path.parent.name for path in environments(machine)] == ["1.18.2-3.11.2"]


def test_failed_installation_leaves_nothing_behind(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3", interlude="echo 'no route to the index' >&2; exit 1")
    ran = hatchw()
    assert ran.returncode == 1
    assert "no route to the index" in ran.stderr
    assert "could not install hatch 1.18.2" in ran.stderr
    assert environments(machine) == []


def test_interrupted_installation_cleans_up(machine: Path, install: Install, hatchw: Run) -> None:
    install("python3", interlude="kill -TERM $PPID")
    assert hatchw().returncode == 128 + signal.SIGTERM
    assert environments(machine) == []


def test_killed_installation_does_not_break_the_next(
    machine: Path, install: Install, hatchw: Run
) -> None:
    install("python3", interlude="kill -KILL $PPID; exit 1")
    assert hatchw().returncode == -signal.SIGKILL
    [half_built] = environments(machine)
    install("python3")
    ran = hatchw("run", "test")
    assert "arguments: run test" in ran.stdout, ran.stderr
    assert f"path: {half_built}" not in ran.stdout


@pytest.mark.parametrize("lost", ["bin/python", "bin/hatch", "."])
def test_damaged_environment_is_made_anew(
    machine: Path, install: Install, hatchw: Run, lost: str
) -> None:
    install("python3")
    hatchw()
    [damaged] = environments(machine)
    path = damaged / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    ran = hatchw("run", "test")
    assert "arguments: run test" in ran.stdout, ran.stderr
    assert f"path: {damaged}/bin" not in ran.stdout


def test_empty_pointer_is_taken_for_none(machine: Path, install: Install, hatchw: Run) -> None:
    install("python3")
    hatchw()
    [environment] = environments(machine)
    (environment.parent / "current").write_text("")
    assert hatchw().returncode == 0
    assert (environment.parent / "current").read_text().startswith("env-")


def test_two_first_runs_at_once_agree_on_one_environment(
    machine: Path, install: Install, hatchw: Run
) -> None:
    # While pip works for the first, the second begins and finishes.
    install(
        "python3",
        interlude=f'if mkdir "$HOME/second" 2>/dev/null; then "{ROOT}/hatchw" second; fi',
    )
    ran = hatchw("first")
    assert "arguments: second" in ran.stderr
    assert "arguments: first" in ran.stdout, ran.stderr
    [environment] = environments(machine)
    assert (environment.parent / "current").read_text() == f"{environment.name}\n"


def test_probe_is_understood_by_a_real_interpreter(
    machine: Path, install: Install, hatchw: Run
) -> None:
    version = f"{'.'.join(map(str, sys.version_info[:3]))}{sys.abiflags}"
    install("stand-in", version=version)
    hatchw(KRATOS_PYTHON=str(machine / "bin" / "stand-in"))
    (machine / "bin" / "stand-in").unlink()
    ran = hatchw("run", "test", KRATOS_PYTHON=sys.executable)
    assert "arguments: run test" in ran.stdout, ran.stderr
