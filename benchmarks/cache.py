"""What a hit costs: in the process, on Redis and on memcached, one at a time and 32 at once.

All keep the same dataclass of half a kilobyte: kratos-cachegen as JSON, also within the process;
aiocache and cashews pickled, and within the process the object itself. Servers are those that
``.ci/services`` has started.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from benchmarks.caches import articles
from benchmarks.measure import Result
from kratos.store import from_url
from kratos_cachegen.command import generate

__all__ = ["measured"]

Ask: TypeAlias = Callable[[int], Awaitable[object]]
Steps: TypeAlias = "dict[tuple[str, str], Callable[[], Awaitable[object]]]"

_KEYS: Final = 64  # that all are asked for, in turn
_BATCH: Final = 192  # hits, which is short: one of them finds a moment in which nobody disturbs
_AT_ONCE: Final = 32


def measured(*, rounds: int, seconds: float) -> list[Result]:
    """Measure all cases round by round, alternating; the first round warms up.

    Args:
        rounds: How many count.
        seconds: Of one round and one subject.
    """
    return asyncio.run(_measured(rounds, seconds))


async def _measured(rounds: int, seconds: float) -> list[Result]:
    results: dict[tuple[str, str], Result] = {}
    async with AsyncExitStack() as stack:
        steps = await _steps(stack)
        for number in range(rounds + 1):
            best = dict.fromkeys(steps, float("inf"))
            end = time.perf_counter() + seconds * len(steps) / 2
            while time.perf_counter() < end:
                for key, step in steps.items():  # alternating: all are disturbed alike
                    best[key] = min(best[key], await _timed(step))
            for key, took in best.items() if number else ():
                result = results.setdefault(key, Result("cache", *key, unit="us"))
                result.values.append(took * 1e6)
                result.rate = max(result.rate, 1 / took)
    return [results[key] for key in sorted(results)]


async def _timed(step: Callable[[], Awaitable[object]]) -> float:
    begin = time.perf_counter()
    await step()
    return (time.perf_counter() - begin) / _BATCH


async def _steps(stack: AsyncExitStack) -> Steps:
    steps: Steps = {}
    for kind, url in _urls().items():
        for name, make in _SUBJECTS.items():
            if name == "cashews" and kind == "memcached":
                continue  # which it does not know
            ask = await stack.enter_async_context(make(kind, url))
            if await ask(1) != articles.article(1):
                raise SystemExit(f"{name} has kept something else on {kind}")
            steps[kind, name] = _one_by_one(ask)
            steps[f"{kind}-{_AT_ONCE}", name] = _at_once(ask)
    return steps


def _urls() -> dict[str, str]:
    found = {"memory": "memory://"}
    for kind in ("redis", "memcached"):
        variable = f"KRATOS_TEST_{kind.upper()}"
        if variable in os.environ:
            found[kind] = os.environ[variable]
        else:
            print(f"left out: there is no {variable}; see .ci/services", file=sys.stderr)
    return found


def _one_by_one(ask: Ask) -> Callable[[], Awaitable[object]]:
    async def step() -> None:
        for number in range(_BATCH):
            await ask(number % _KEYS)

    return step


def _at_once(ask: Ask) -> Callable[[], Awaitable[object]]:
    async def work(first: int) -> None:
        for number in range(first, _BATCH, _AT_ONCE):
            await ask(number % _KEYS)

    return lambda: asyncio.gather(*(work(first) for first in range(_AT_ONCE)))


@asynccontextmanager
async def _kratos(_kind: str, url: str) -> AsyncGenerator[Ask]:
    async with _generated(url) as source:
        yield source.article


@asynccontextmanager
async def _kratos_alone(_kind: str, url: str) -> AsyncGenerator[Ask]:
    async with _generated(url) as source:
        yield source.alone


@asynccontextmanager
async def _generated(url: str) -> AsyncGenerator[Any]:
    names: dict[str, Any] = {"__name__": "benchmarks.caches.articles_cache"}
    text = generate(Path(articles.__file__), module=articles.__name__)
    exec(compile(text, "articles_cache.py", "exec"), names)
    base: Any = names["CachedArticles"]

    class Source(base):  # type: ignore[misc]  # it is not there when types are checked
        async def raw_article(self, number: int) -> articles.Article | None:
            return articles.article(number)

        raw_alone = raw_article

    store = from_url(url)
    source: Any = Source(redis=store)
    try:
        yield source
    finally:
        await source.aclose()
        await store.aclose()


@asynccontextmanager
async def _aiocache(kind: str, url: str) -> AsyncGenerator[Ask]:
    # By their names: where the types are checked, they are not installed.
    aiocache: Any = import_module("aiocache")
    serializers: Any = import_module("aiocache.serializers")
    address = urlsplit(url)
    options: dict[str, Any] = {"cache": aiocache.Cache.MEMORY}
    if kind != "memory":
        options = {
            "cache": aiocache.Cache.REDIS if kind == "redis" else aiocache.Cache.MEMCACHED,
            "endpoint": address.hostname,
            "port": address.port,
            "serializer": serializers.PickleSerializer(),
        }

    def key(_function: object, number: int) -> str:
        return f"aiocache:{number}"

    ask: Any = aiocache.cached(ttl=300, key_builder=key, **options)(_source)
    yield ask
    await ask.cache.close()


@asynccontextmanager
async def _cashews(kind: str, url: str) -> AsyncGenerator[Ask]:
    cashews: Any = import_module("cashews")
    cache = cashews.Cache()
    cache.setup("mem://" if kind == "memory" else url)
    yield cache(ttl=300, key="article:{number}")(_source)
    await cache.close()


async def _source(number: int) -> articles.Article:
    return articles.article(number)


_SUBJECTS: Final[dict[str, Any]] = {
    "kratos": _kratos,
    "kratos-no-singleflight": _kratos_alone,
    "aiocache": _aiocache,
    "cashews": _cashews,
}
