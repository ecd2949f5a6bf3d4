"""``python -m tests.rolling reload|terminate``: workers are replaced, or hosts ended, under load.

Prints, for each transport, how many calls were answered, how others failed, and how streams
ended. Ends with 1 if a call failed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack

from tests.rolling.hosts import host
from tests.rolling.load import Amount, Tally, load

_DRAIN_DELAY = 1.0


async def _measure(options: argparse.Namespace) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    amount = Amount(
        clients=options.clients,
        calls=options.calls,
        streams=options.streams,
        repeatable=options.repeatable,
    )
    with tempfile.TemporaryDirectory() as folder:
        registry = f"file://{folder}"
        async with AsyncExitStack() as hosts, AsyncExitStack() as loads:
            first = await hosts.enter_async_context(
                host(registry, drain_delay=_DRAIN_DELAY, engine=options.engine)
            )
            for transport in options.transport.split(","):
                tallies[transport] = await loads.enter_async_context(
                    load(transport, registry, amount, engine=options.engine)
                )
            for _ in range(options.rounds):
                if options.what == "reload":
                    await first.reload()
                    continue
                successor = await hosts.enter_async_context(
                    host(registry, drain_delay=_DRAIN_DELAY, engine=options.engine)
                )
                assert await first.terminate() == 0, first.log
                first = successor
    return tallies


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.rolling", description=__doc__)
    parser.add_argument("what", choices=["reload", "terminate"])
    parser.add_argument("--rounds", type=int, default=20, help="how often")
    parser.add_argument("--transport", default="http,grpc", help="those of the clients")
    parser.add_argument(
        "--engine", choices=["grpcio", "kratos"], default="grpcio", help="that of gRPC"
    )
    parser.add_argument("--clients", type=int, default=4, help="clients of each transport")
    parser.add_argument("--calls", type=int, default=4, help="calls in flight, of each client")
    parser.add_argument("--streams", type=int, default=1, help="streams of each client")
    parser.add_argument("--repeatable", action="store_true", help="calls may be sent again")
    options = parser.parse_args()
    began = time.monotonic()
    tallies = asyncio.run(_measure(options))
    print(f"{options.rounds} times {options.what} in {time.monotonic() - began:.0f} s")
    for transport, tally in tallies.items():
        print(f"{transport}: {tally.answered.total()} calls by {len(tally.answered)} workers")
        for what, counted in (("failed", tally.failed), ("streams ended", tally.streams)):
            for how, count in counted.most_common():
                print(f"  {what}: {count} x {how}")
    return 1 if any(tally.failed for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
