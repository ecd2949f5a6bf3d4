"""Many keys in groups, some of which are asked for at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

__all__ = ["in_groups", "partial_result", "with_partial"]

K = TypeVar("K")
V = TypeVar("V")
E = TypeVar("E", bound=Exception)

_PARTIAL: Final = "kratos_cachegen_partial"


async def in_groups(
    keys: Sequence[K],
    load: Callable[[list[K]], Awaitable[Mapping[K, V]]],
    *,
    batch: int = 0,
    max_group: int = 0,
    go_on: bool = False,
) -> tuple[dict[K, V], Exception | None]:
    """Return what was loaded, and the first error.

    Args:
        keys: What to load.
        load: Loads some of them.
        batch: Most keys of a group; 0 for all at once.
        max_group: Most groups at the same time.
        go_on: Whether the other groups are loaded after an error; else they are cancelled.

    Cancellation: cancels all groups.
    """
    loaded: dict[K, V] = {}
    errors: list[Exception] = []
    size = batch or max(1, len(keys))
    groups = (list(keys[begin : begin + size]) for begin in range(0, len(keys), size))

    async def work(groups: Iterator[list[K]]) -> None:
        for group in groups:
            try:
                loaded.update(await load(group))
            except Exception as error:
                errors.append(error)
                if not go_on:
                    return

    workers = min(max(1, max_group), -(-len(keys) // size))
    if workers <= 1:
        await work(groups)
    else:
        await _until_done_or_wrong([work(groups) for _ in range(workers)], errors, go_on=go_on)
    return loaded, errors[0] if errors else None


async def _until_done_or_wrong(
    works: Sequence[Any], errors: Sequence[Exception], *, go_on: bool
) -> None:
    """Return when all are done, or, unless all are to go on, one has an error."""
    tasks = {asyncio.ensure_future(work) for work in works}
    pending = tasks
    try:
        while pending and (go_on or not errors):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.wait(tasks)


def with_partial(error: E, result: Mapping[Any, Any]) -> E:
    """Return an error that knows what was found in spite of it; see ``partial_result``."""
    error.__dict__[_PARTIAL] = result
    return error


def partial_result(error: BaseException) -> Mapping[Any, Any]:
    """Return what a generated method for many keys had found when its source failed.

    That is what the cache had, and the groups that were loaded. The error is the source's own.
    """
    found: Mapping[Any, Any] = error.__dict__.get(_PARTIAL, {})
    return found
