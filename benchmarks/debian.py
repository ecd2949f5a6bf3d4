"""Programs of Debian's packages, unpacked into the cache: nothing is installed, nothing starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["unpacked"]


def unpacked(name: str, packages: Sequence[str]) -> Path | None:
    """Return the folder that some packages are unpacked into; ``None`` where they cannot be had.

    Args:
        name: Of the folder.
        packages: What to download, libraries that are missing here among them.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return None
    cache = Path(os.environ.get("KRATOS_CI_CACHE") or Path.home() / ".cache/kratos-ci")
    root = cache / "benchmarks" / name
    complete = root / ".complete"
    if complete.is_file() and complete.read_text(encoding="utf-8") == " ".join(packages):
        return root
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["apt-get", "-qq", "download", *packages], cwd=folder, capture_output=True, check=False
        )
        if done.returncode:
            return None
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    complete.write_text(" ".join(packages), encoding="utf-8")
    return root
