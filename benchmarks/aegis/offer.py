"""``python -m benchmarks.aegis.offer N``: by how many MB each grows on N different keys."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

from aegis import HeavyKeeper, HotKeyCache
from aegis.ratelimit import KeyedGcra

_PAGE = 4096


def _resident() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE / 1e6


def main(count: int) -> None:
    gcra = KeyedGcra(rate=100, burst=100)
    sketch = HeavyKeeper(100)
    cache = HotKeyCache[str](hot_key_count=100, local_cache_count=1000, auto_cache=True)
    subjects: dict[str, Callable[[str], object]] = {
        "kratos HeavyKeeper": sketch.add,
        "kratos HotKeyCache": lambda key: cache.add_with_value(key, key),
        "kratos": gcra.allow,
    }
    for subject, offer in subjects.items():
        before = _resident()
        for number in range(count):
            offer(f"user:{number:08}")
        print(json.dumps([subject, round(max(0.0, _resident() - before), 1)]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
