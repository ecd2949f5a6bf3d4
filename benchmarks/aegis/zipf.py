"""Keys as they are asked for: some often, most of them hardly ever."""

from __future__ import annotations

import random
from itertools import accumulate

__all__ = ["ZIPF"]

_WEIGHTS = list(accumulate(1 / (rank + 1) for rank in range(50_000)))
ZIPF = random.Random(1).choices(
    [f"user:{rank:05}" for rank in range(50_000)], cum_weights=_WEIGHTS, k=100_000
)
