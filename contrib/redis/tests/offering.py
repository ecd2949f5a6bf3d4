"""One of several processes that offer calls to one limit.

Says that it is ready, waits for a line that tells when to begin, says whether Redis answers when
that changes, and ends by telling how many calls were admitted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from redis.asyncio import Redis

from aegis import Backoff
from kratos_redis import RedisGcra, RedisStats

SURE = 20  # calls


class Tale:
    """Tells when Redis answers, when it does not, and when it does again, each once."""

    def __init__(self) -> None:
        self._left = ["answered", "unanswered", "answered again"]
        self._from = 0

    def hear(self, stats: RedisStats) -> None:
        """Print the next word if there were enough calls since the last to be sure of it."""
        if not self._left:
            return
        count = stats.unanswered if self._left[0] == "unanswered" else stats.answered
        if count >= self._from + SURE:
            print(self._left.pop(0), flush=True)
            self._from = stats.answered if self._left == ["answered again"] else 0


async def offer(
    url: str,
    *,
    prefix: str,
    rate: float,
    burst: int,
    processes: int,
    offered: float,
    timeout: float,
    seconds: float,
) -> dict[str, Any]:
    """Offer this process' part of ``offered`` calls per second."""
    redis: Any = Redis
    async with redis.from_url(url) as client:
        await client.ping()
        limiter = RedisGcra(
            client,
            rate=rate,
            burst=burst,
            prefix=prefix,
            replicas=processes,
            timeout=timeout,
            backoff=Backoff(base=0.05, cap=0.2),
        )
        print("ready", flush=True)
        begin = float(await asyncio.to_thread(sys.stdin.readline))
        calls = admitted = 0
        tale = Tale()
        step = processes / offered
        while (due := begin + calls * step) < begin + seconds:
            # Late calls are made up for, so that the load is what it is said to be.
            await asyncio.sleep(max(0.0, due - time.time()))
            admitted += await limiter.allow("key")
            calls += 1
            tale.hear(limiter.stats())
        stats = limiter.stats()
        return {
            "calls": calls,
            "admitted": admitted,
            "answered": stats.answered,
            "unanswered": stats.unanswered,
            "late": time.time() - begin - seconds,
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(offer(sys.argv[1], **json.loads(sys.argv[2])))))
