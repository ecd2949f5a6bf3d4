"""tenacity: retries by decorators; no budget."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.aegis.case import Kept, Timed, awaited, called, empty, empty_later, load

tenacity = load("tenacity")


def loops() -> Iterable[Timed]:
    decorate = tenacity.retry(
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_random_exponential(0.1, 5),
        retry=tenacity.retry_if_exception_type(ConnectionError),
    )
    yield Timed("retry", "tenacity", called(decorate(empty)))
    yield Timed("retry-async", "tenacity", awaited(decorate(empty_later)))


def keepers() -> Iterable[Kept]:
    return ()
