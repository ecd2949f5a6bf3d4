"""``python -m tests.fuzz.drive TARGET SECONDS CORPUS FINDINGS MODULE...``: feeds one target.

By libFuzzer, which keeps what reaches new code in those modules, where atheris is installed; else
by blind mutation of the seeds. Either prints how many inputs were tried, and ends with 1 or more
and a file among the findings when one fails.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.fuzz.mutate import mutated

__all__ = ["TRIED", "guided", "main", "unguided"]

TRIED: Final = "Done {} runs"  # as libFuzzer says it
_LONGEST: Final = 4096  # bytes of an input
_HANG: Final = 10  # seconds for one input
_MEMORY: Final = 2048  # MiB


def guided(
    name: str, seconds: float, corpus: Path, findings: Path, *, modules: Sequence[str]
) -> None:
    """Feed a target until the time is over or an input fails; does not return.

    Args:
        name: The target's module.
        seconds: For how long.
        corpus: What led to something new before, and will be kept.
        findings: Where an input that fails is written to.
        modules: What it is about. To watch all that is imported would take minutes.
    """
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=list(modules)):
        target: Any = import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder) / "seeds"
        seeds.mkdir()
        for number, seed in enumerate(target.SEEDS):
            (seeds / f"{number:03}").write_bytes(seed)
        words = Path(folder) / "words"
        escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.WORDS)
        words.write_text("".join(f'"{word}"\n' for word in escaped), encoding="ascii")
        options = {
            "max_total_time": round(seconds),
            "seed": int(os.environ.get("KRATOS_FUZZ_SEED", "0")),  # 0: another each time
            "max_len": _LONGEST,
            "timeout": _HANG,
            "rss_limit_mb": _MEMORY,
            "artifact_prefix": f"{findings}/",
            "dict": words,
            "verbosity": 1,
        }
        arguments = [f"-{option}={value}" for option, value in options.items()]
        atheris.Setup([name, *arguments, str(corpus), str(seeds)], target.check)
        atheris.Fuzz()


def unguided(name: str, seconds: float, findings: Path, *, most: float = float("inf")) -> int:
    """Feed mutations of the seeds to a target.

    Args:
        name: The target's module.
        seconds: For how long.
        findings: Where an input that fails is written to.
        most: Inputs at most.

    Returns:
        0, or 1 when an input failed.
    """
    target: Any = import_module(name)
    check: Callable[[bytes], None] = target.check
    random = Random(seconds)
    end = time.monotonic() + seconds
    tried = 0
    while tried < most and time.monotonic() < end:
        seeds: tuple[bytes, ...] = target.SEEDS
        data = seeds[tried] if tried < len(seeds) else mutated(seeds, target.WORDS, random)
        tried += 1
        try:
            check(data[:_LONGEST])
        except Exception:
            traceback.print_exc()
            digest = hashlib.sha256(data).hexdigest()[:40]
            (findings / f"crash-{digest}").write_bytes(data)
            print(TRIED.format(tried), file=sys.stderr)
            return 1
    print(TRIED.format(tried), file=sys.stderr)
    return 0


def main(name: str, seconds: str, corpus: str, findings: str, *modules: str) -> None:
    """Feed one target."""
    if find_spec("atheris") is not None:
        guided(name, float(seconds), Path(corpus), Path(findings), modules=modules)
    sys.exit(unguided(name, float(seconds), Path(findings)))


if __name__ == "__main__":
    main(*sys.argv[1:])
