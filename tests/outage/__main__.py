"""``python -m tests.outage [--seconds N] [name...]``: registries that are away for a while.

Takes the servers whose programs the environment names, see `.ci/services`, all at once. Fails if an
instance is not registered again in time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.outage.outage import Outcome, bound, outage
from tests.outage.servers import KINDS, Server


async def _one(name: str, seconds: float, *, empty: bool) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(KINDS[name], Path(folder) / "server")
        try:
            await server.start()
            return await outage(server, seconds=seconds, empty=empty)
        finally:
            server.kill()


async def _all(names: list[str], seconds: float) -> int:
    late = 0
    cases = [(name, empty) for name in names for empty in (False, True)]
    outcomes = await asyncio.gather(
        *(_one(name, seconds, empty=empty) for name, empty in cases), return_exceptions=True
    )
    print(f"away for {seconds:g} s; within {bound():g} s everything must be as before")
    print(f"{'registry':12} {'comes back':12} {'noticed':>8} {'registered':>11} {'seen':>6}")
    for (name, empty), outcome in zip(cases, outcomes, strict=True):
        back = "empty" if empty else "as it was"
        if isinstance(outcome, BaseException):
            print(f"{name:12} {back:12} failed: {outcome!r}")
            late += 1
            continue
        figures = f"{outcome.noticed:8.1f} {outcome.registered:11.1f} {outcome.seen:6.1f}"
        kept = "" if outcome.complete else "  and a client lost instances meanwhile"
        print(f"{name:12} {back:12} {figures}{kept}")
        late += outcome.seen > bound() or not outcome.complete
    return late


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.outage", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(KINDS))
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    here = [name for name, kind in KINDS.items() if kind.program in os.environ]
    return 1 if asyncio.run(_all(options.names or here, options.seconds)) else 0


if __name__ == "__main__":
    sys.exit(main())
