"""grpc-go alone, on one core."""

from __future__ import annotations

from typing import Final

from benchmarks.load_go import GoKind, go_command

__all__ = ["SUBJECTS", "TOOLS", "command"]

SUBJECTS: Final = ("grpc-go",)
TOOLS: Final = ("go",)
_KINDS: Final[dict[str, GoKind]] = {"unary": "unary", "stream": "stream"}


def command(case: str, address: str, seconds: float) -> list[str]:
    """Return what asks, and prints how often, and its seconds of CPU."""
    return ["env", "GOMAXPROCS=1", *go_command(_KINDS[case], address, seconds)]
