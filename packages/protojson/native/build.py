"""``./hatchw run native``: build the extension and install it into this environment.

Nothing is written into the checkout: the build works on a copy in the user's cache, where Cargo's
files and the wheel stay. Checkouts share that cache, one at a time. Without Cargo the extension is
left out, which is no failure but in CI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Build and install."""
    if shutil.which("cargo") is None:
        print("left out: Cargo is missing, so kratos-protojson-native is not built")
        return 1 if os.environ.get("CI") == "true" else 0
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with _alone(caches / "kratos-protojson-native") as home:
        _build(home)
    return 0


@contextmanager
def _alone(home: Path) -> Generator[Path]:
    """Wait until no other checkout builds there."""
    home.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield home
        return
    import fcntl

    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


def _build(home: Path) -> None:
    wheels = home / "wheels"
    source = home / "source"
    shutil.rmtree(wheels, ignore_errors=True)
    shutil.copytree(HERE, source, dirs_exist_ok=True)  # with times, by which Cargo goes
    environment = {**os.environ, "CARGO_TARGET_DIR": str(home / "target")}
    build = [sys.executable, "-m", "maturin", "build", "--release", "--quiet"]
    build += ["--manifest-path", str(source / "Cargo.toml"), "--out", str(wheels)]
    build += ["--interpreter", sys.executable]
    subprocess.run(build, check=True, env=environment)
    [wheel] = wheels.glob("*.whl")
    print(f"built {wheel}")
    install = ["uv", "pip", "install", "--quiet", "--no-deps", "--reinstall", str(wheel)]
    subprocess.run([*install, "--python", sys.executable], check=True)


if __name__ == "__main__":
    sys.exit(main())
