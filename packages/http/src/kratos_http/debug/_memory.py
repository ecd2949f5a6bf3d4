"""What the garbage collector does, and which objects there are."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

__all__ = ["memory"]


def memory(*, top: int) -> dict[str, Any]:
    """Return the collector's figures.

    Args:
        top: How many types of objects to count; counting looks at every object, which stops the
            process for about a tenth of a second per million of them.
    """
    found: dict[str, Any] = {
        "enabled": gc.isenabled(),
        "threshold": gc.get_threshold(),
        "count": gc.get_count(),
        "generations": gc.get_stats(),
        "frozen": gc.get_freeze_count(),
        "uncollectable": len(gc.garbage),
    }
    if top:
        kinds: Counter[type[object]] = Counter(map(type, gc.get_objects()))
        found["objects"] = kinds.total()
        found["types"] = {
            f"{kind.__module__}.{kind.__qualname__}": count
            for kind, count in kinds.most_common(top)
        }
    return found
