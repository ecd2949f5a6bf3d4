"""Programs of the tests in Go: built once, and kept for as long as their sources stay the same."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["built", "built_of", "run"]


def built(name: str, sources: Iterable[Path], build: Callable[[Path], None]) -> Path:
    """Return a folder that ``build`` has filled, kept for as long as the sources stay the same."""
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.name.encode() + source.read_bytes())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kratos-tests"
    kept = root / f"{name}-{digest.hexdigest()[:16]}"
    root.mkdir(parents=True, exist_ok=True)
    # Of several processes of tests one builds; Go would take as long for each.
    with Path(f"{kept}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            scratch = kept.with_name(f"{kept.name}.{os.getpid()}")
            try:
                build(scratch)
                scratch.rename(kept)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return kept


def built_of(name: str, *sources: Path) -> Path:
    """Return the path of a program that is a module of these files, and nothing else."""

    def build(folder: Path) -> None:
        folder.mkdir()
        for source in sources:
            shutil.copy(source, folder)
        run(folder, "go", "build", "-o", "bin/program", ".")

    return built(f"go-{name}", sources, build) / "bin" / "program"


def run(folder: Path, *command: str) -> None:
    """Run a command of Go's in a folder, or of what it has built there, and fail where it fails."""
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
