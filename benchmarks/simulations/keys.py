"""Hot keys and subsets: what is found in how much memory, and how evenly clients spread."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Final

from aegis import HeavyKeeper, HotKeyCache, ManualClock, RoundSubsetter, Subsetter
from benchmarks.simulations.plot import Line, Panel, save

__all__ = ["found", "hits", "report", "spread"]

_KEYS: Final = 20_000
_SKETCHES: Final = ((1.1, 100, 4096), (1.1, 100, 1024), (0.9, 100, 4096), (1.1, 10, 1024))
_SIZE: Final = 20  # members of a subset


def zipf(exponent: float, keys: int, draws: int, *, seed: int) -> list[str]:
    """Return keys, of which number ``n`` from 1 on comes with a chance near ``n ** -exponent``."""
    weights = list(accumulate((rank + 1) ** -exponent for rank in range(keys)))
    numbers = random.Random(seed).choices(range(keys), cum_weights=weights, k=draws)
    return [str(number) for number in numbers]


def found(exponent: float, *, k: int, width: int, draws: int = 100_000) -> tuple[float, float]:
    """Return the share of the true top ``k`` that a sketch finds, and the mean error of counts."""
    keys = zipf(exponent, 100_000, draws, seed=1)
    sketch = HeavyKeeper(k, width=width, exact=True, random=random.Random(2).random)
    for key, count in _batched(keys):
        sketch.add(key, count)
    truth = Counter(keys)
    border = truth.most_common(k)[-1][1]
    items = sketch.items()
    share = sum(truth[item.key] >= border for item in items) / k
    return share, mean(1 - item.count / truth[item.key] for item in items)


def _batched(keys: Sequence[str], size: int = 50) -> list[tuple[str, int]]:
    """Join what comes within few places; the exact hash is slow, and is the same everywhere."""
    batches = (Counter(keys[start : start + size]) for start in range(0, len(keys), size))
    return [pair for batch in batches for pair in batch.items()]


def hits(fade_every: int | None, *, k: int = 100, draws: int = 100_000) -> list[float]:
    """Return the share of hits of a cache, per 2500 requests; half-way other keys become hot."""
    cache = HotKeyCache[bool](
        hot_key_count=k,
        local_cache_count=0,
        auto_cache=True,
        cache_ttl=1e6,
        exact=True,  # hash() of texts differs from process to process
        clock=ManualClock(),
        random=random.Random(2).random,
    )

    def ask(number: int, key: str) -> bool:
        if fade_every and number % fade_every == 0:
            cache.fading()
        if cache.get(key):
            cache.add(key)
            return True
        cache.add_with_value(key, value=True)
        return False

    return _shares(ask, draws)


def lru_hits(*, k: int = 100, draws: int = 100_000) -> list[float]:
    """Return the same for a cache of as many keys, those used last."""
    kept = OrderedDict[str, bool]()

    def ask(_: int, key: str) -> bool:
        hit = key in kept
        kept[key] = True
        kept.move_to_end(key)
        if len(kept) > k:
            kept.popitem(last=False)
        return hit

    return _shares(ask, draws)


def _shares(ask: Callable[[int, str], bool], draws: int, per: int = 2500) -> list[float]:
    keys = zipf(1.0, _KEYS, draws, seed=1)
    keys[draws // 2 :] = [f"other-{key}" for key in keys[draws // 2 :]]
    answers = [ask(number, key) for number, key in enumerate(keys)]
    return [mean(answers[start : start + per]) for start in range(0, draws, per)]


def spread(members: int, *, clients: int, kind: str, size: int = _SIZE) -> tuple[float, float]:
    """Return the greatest load of a member beside the mean, and the places moved by a loss."""
    names = [f"10.0.{number // 256}.{number % 256}:9000" for number in range(members)]
    loads, moved = Counter[str](), 0
    before, after = _picker(kind, names), _picker(kind, names[:-1])
    for client in range(clients):
        picked = before(client, size)
        loads.update(picked)
        moved += len(set(picked) - set(after(client, size)))
    places = clients * size
    return max(loads.values()) / (places / members), moved / places


def _picker(kind: str, names: Sequence[str]) -> Callable[[int, int], Sequence[str]]:
    if kind == "rounds":
        rounds = RoundSubsetter(names)
        return lambda client, size: rounds.pick(client, size=size)
    if kind == "ring":
        ring = Subsetter(names)
        return lambda client, size: ring.pick(f"client-{client}", size=size)
    return lambda client, size: random.Random(client).sample(names, size)


def report(plots: Path | None) -> None:
    """Print the tables, and draw the plots into a folder."""
    print("top k of 100 000 keys, 100 000 draws: share found, mean error of counts")
    for exponent, k, width in _SKETCHES:
        share, error = found(exponent, k=k, width=width)
        print(f"  s={exponent} k={k:3} width={width:4}  {share:.2f}  {error:.4f}")
    _report_hits(plots)
    _report_spread(plots)


def _report_hits(plots: Path | None) -> None:
    lines = {
        "fading every 10 000": hits(10_000),
        "no fading": hits(None),
        "LRU": lru_hits(),
    }
    print("hits of a cache of 100 of 20 000 keys; other keys are hot after 50 000")
    print(f"  {'':20} first half  10 000 after the change  last 10 000")
    for name, shares in lines.items():
        middle = len(shares) // 2
        after, last = shares[middle : middle + 4], shares[-4:]
        print(f"  {name:20} {mean(shares[4:middle]):10.3f} {mean(after):23.3f} {mean(last):12.3f}")
    if plots is not None:
        drawn = [
            Line(name, [(2.5 * (n + 1), share) for n, share in enumerate(shares)])
            for name, shares in lines.items()
        ]
        save(
            plots / "hotkey.svg",
            [Panel("share of hits", drawn)],
            title="A cache of 100 keys while other keys become hot",
            horizontal="thousand requests",
        )


def _report_spread(plots: Path | None) -> None:
    kinds = ("rounds", "ring", "random")
    counts = range(40, 241, 8)
    rows = {
        kind: [(count, *spread(count, clients=240, kind=kind)) for count in counts]
        for kind in kinds
    }
    print(f"subsets of {_SIZE} for 240 clients: greatest load / mean; places moved by one loss")
    for count in (40, 104, 112, 200, 240):
        cells = (row for kind in kinds for row in rows[kind] if row[0] == count)
        texts = (f"{load:.2f} {moved:.3f}" for _, load, moved in cells)
        print(f"  {count:3} members  " + "   ".join(map("  ".join, zip(kinds, texts, strict=True))))
    if plots is None:
        return
    panels = [
        Panel(
            "greatest load / mean",
            [Line(k, [(n, load) for n, load, _ in rows[k]]) for k in kinds],
        ),
        Panel(
            "share of places moved",
            [Line(k, [(n, moved) for n, _, moved in rows[k]]) for k in kinds[:2]],
        ),
    ]
    save(
        plots / "subset.svg",
        panels,
        title=f"Subsets of {_SIZE} for 240 clients, and the loss of one member",
        horizontal="members",
    )
