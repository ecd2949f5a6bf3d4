"""The program in Go, with its servers and its load: compiled once, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["program"]

_ROOT: Final = Path(__file__).parent
_PLUGIN: Final = "google.golang.org/protobuf/cmd/protoc-gen-go"
_PACKAGE: Final = "kratos.bench/gokratos"


def program() -> Path:
    """Return the compiled program; the first time takes a minute or two, and the module proxy."""
    proto = _ROOT / "proto" / "bench" / "bench.proto"
    digest = hashlib.sha256()
    for source in (*sorted(_ROOT.glob("go/*")), proto):
        digest.update(source.read_bytes())
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = caches / "kratos-bench" / f"gokratos-{digest.hexdigest()[:16]}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            _build(Path(scratch), proto)
            # Not moved: the cache may be on another disk, and a half-written program must not stay.
            partial = kept.with_name(f"{kept.name}.{os.getpid()}")
            shutil.copy2(Path(scratch) / "gokratos", partial)
            partial.rename(kept)
    return kept


def _build(folder: Path, proto: Path) -> None:
    shutil.copytree(_ROOT / "go", folder, dirs_exist_ok=True)
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    protoc = [
        *(sys.executable, "-m", "grpc_tools.protoc"),
        f"-I{proto.parents[1]}",
        f"-I{sysconfig.get_path('purelib')}",  # google/api/annotations.proto
        "--plugin=protoc-gen-go=protoc-gen-go",
        "--go_out=.",
        f"--go_opt=module={_PACKAGE}",
        f"--go_opt=Mbench/bench.proto={_PACKAGE}/api",
        "bench/bench.proto",
    ]
    for command in (
        ["go", "build", "-o", "protoc-gen-go", _PLUGIN],
        protoc,
        ["go", "build", "-o", "gokratos", "."],
    ):
        subprocess.run(command, cwd=folder, env=env, check=True, stdout=sys.stderr)
