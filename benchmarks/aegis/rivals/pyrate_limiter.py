"""pyrate-limiter: buckets of algorithms, in memory; here one bucket, though keys are given."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from benchmarks.aegis.case import Kept, Timed, keyed, load

pyrate_limiter = load("pyrate_limiter")


def loops() -> Iterable[Timed]:
    for case, algorithm in (
        ("gcra", pyrate_limiter.GCRA),
        ("token-bucket", pyrate_limiter.TokenBucket),
    ):
        rate = pyrate_limiter.Rate(10**6, pyrate_limiter.Duration.SECOND)
        bucket = pyrate_limiter.StateBucket([rate], algorithm())
        acquire = pyrate_limiter.Limiter(bucket).try_acquire
        yield Timed(case, "pyrate-limiter", keyed(partial(acquire, blocking=False)))


def keepers() -> Iterable[Kept]:
    return ()
