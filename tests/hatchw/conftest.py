from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Programs of a bare machine that hatchw calls, and no Python among them.
PROGRAMS = ("cat", "cp", "dirname", "find", "kill", "mkdir", "mktemp", "mv", "rm", "sh")

# Stands for an interpreter: answers the probe, makes environments that hold a copy of it, and
# lets pip write a hatch that tells how it was called.
INTERPRETER = """#!/bin/sh
if [ "$1" = -c ]; then
    echo "{version} {tool}"
elif [ "$1 $2" = "-m venv" ]; then
    for folder; do :; done
    mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python"
elif [ "$1 $2" = "-m pip" ]; then
    case "$0 $3" in
        */env-*/bin/python\\ install) folder=${{0%/bin/python}} ;;
        *--python) folder=${{4%/bin/python}} ;;
        *) echo "error: externally-managed-environment" >&2; exit 1 ;;
    esac
    printf '%s\\n' "$*" >>"$HOME/pip"
    {interlude}
    cat >"$folder/bin/hatch" <<'END'
#!/bin/sh
echo "arguments: $*"
echo "folder: $PWD"
echo "process: $KRATOS_HATCHW of $$"
echo "certificates: $UV_SYSTEM_CERTS"
echo "path: $PATH"
echo "data: $HATCH_DATA_DIR"
echo "config: $(cat "$HATCH_CONFIG")."
END
    chmod +x "$folder/bin/hatch"
fi
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Install = Callable[..., None]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A home, a PATH of its own, and nothing cached."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (*PROGRAMS, "chmod"):
        found = shutil.which(name)
        assert found is not None, name
        (programs / name).symlink_to(found)
    (tmp_path / "home").mkdir()
    return tmp_path


@pytest.fixture
def install(machine: Path) -> Install:
    """Put an interpreter on PATH: ``install("python3.12", tool="pip")``."""

    def put(
        name: str, *, version: str = "3.12.4", tool: str = "ensurepip", interlude: str = ":"
    ) -> None:
        program = machine / "bin" / name
        program.write_text(
            INTERPRETER.format(version=version, tool=tool, interlude=interlude), encoding="utf-8"
        )
        program.chmod(0o755)

    return put


@pytest.fixture
def hatchw(machine: Path) -> Run:
    """Run the wrapper on that machine."""

    def run(
        *arguments: str, cwd: Path = ROOT, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [f"./{os.path.relpath(ROOT, cwd)}/hatchw", *arguments],
            cwd=cwd,
            env={"PATH": str(machine / "bin"), "HOME": str(machine / "home")} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
