"""backoff: retries by decorators; no budget."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.aegis.case import Kept, Timed, awaited, called, empty, empty_later, load

backoff = load("backoff")


def loops() -> Iterable[Timed]:
    decorate = backoff.on_exception(backoff.expo, ConnectionError, max_tries=3)
    yield Timed("retry", "backoff", called(decorate(empty)))
    yield Timed("retry-async", "backoff", awaited(decorate(empty_later)))


def keepers() -> Iterable[Kept]:
    return ()
