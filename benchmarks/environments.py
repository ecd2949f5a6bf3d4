"""``python -m benchmarks.environments BENCH ...`` runs a bench where its rivals are installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Final

_OWN: Final = ("aegis", "cache", "client", "gateway", "grpc", "http", "log", "metrics")
_ENVIRONMENTS: Final = {name: f"bench-{name}" for name in _OWN}


def environment(arguments: Sequence[str]) -> str:
    """Return the environment of hatch.toml for the bench that the arguments name."""
    named = (_ENVIRONMENTS[argument] for argument in arguments if argument in _ENVIRONMENTS)
    return next(named, "test")


if __name__ == "__main__":
    given = sys.argv[1:]
    command = ["hatch", "run", f"{environment(given)}:bench", *given]
    sys.exit(subprocess.run(command, check=False).returncode)
