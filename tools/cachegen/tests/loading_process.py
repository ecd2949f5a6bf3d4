"""A process of its own that wants one value: ``STORE_URL MODE``.

It prints ``ready``, waits for a line, and prints how many values its callers got, and how often
it has loaded. As ``stuck``, it prints ``loading`` when it loads, and never ends with that.
"""

from __future__ import annotations

import asyncio
import sys

from tools.cachegen.tests.zoo.shop import Product
from tools.cachegen.tests.zoo.shop_cache import CachedRates

from kratos.store import from_url


class Rates(CachedRates):
    loads = 0
    stuck = False

    async def raw_rate(self, id: int) -> Product | None:
        self.loads += 1
        if self.stuck:
            print("loading", flush=True)
            await asyncio.Event().wait()
        await asyncio.sleep(0.05)
        return Product(id, "from the source")

    async def raw_draft(self, id: int) -> Product | None:
        return None

    async def raw_total(self) -> int:
        return 0


async def main(url: str, mode: str) -> None:
    store = from_url(f"{url}?timeout=5s")
    async with Rates(redis=store) as rates:
        rates.stuck = mode == "stuck"
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        found = await asyncio.gather(*(rates.rate(7) for _ in range(100)))
        print(len([each for each in found if each]), rates.loads, flush=True)
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
