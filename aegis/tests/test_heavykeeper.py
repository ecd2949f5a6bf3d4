"""Golden values come from Go: aegis v0.2 ``topk`` and twmb/murmur3."""

from __future__ import annotations

import random
from collections import Counter
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.hotkey import Added, HeavyKeeper, HotKey
from aegis.hotkey._murmur3 import murmur3
from aegis.hotkey.heavykeeper import default_width

COLD = Added(None, False)
HOT = Added(None, True)


def never() -> float:
    """Return the random number with which nobody takes anything off."""
    return 1 - 2**-53


def always() -> float:
    return 0.0


def zipf(s: float, v: float, most: int, draws: int, seed: int) -> list[str]:
    """Return ranks from 0 with P(rank) proportional to (v + rank) ** -s."""
    weights = list(accumulate((v + rank) ** -s for rank in range(most + 1)))
    ranks = random.Random(seed).choices(range(most + 1), cum_weights=weights, k=draws)
    return [str(rank) for rank in ranks]


@pytest.mark.parametrize(
    ("text", "hashes"),
    [
        ("", [0, 1364076727, 821347078, 2247144487]),
        ("a", [1009084850, 1485495528, 3484942910, 1867108634]),
        ("1", [2484513939, 2724904126, 875522973, 4168731699]),
        ("hello", [613153351, 3142237357, 3777958525, 3609899125]),
        ("kratos", [3155928026, 2508730687, 4060778556, 2185157898]),
        ("中文", [3676729751, 816277603, 736067362, 4264681381]),
    ],
)
def test_murmur3_agrees_with_go(text: str, hashes: list[int]) -> None:
    assert [murmur3(text.encode(), seed) for seed in range(4)] == hashes


def test_exact_sketch_goes_through_the_trace_of_go() -> None:
    sketch = HeavyKeeper(3, width=1024, depth=4, decay=0.925, exact=True)

    def listed() -> str:
        return " ".join(f"{item.key}{item.count}" for item in sketch.items())

    assert [sketch.add(key) for key in "abcd"] == [HOT, HOT, HOT, HOT]  # d only ties
    assert listed() == "a1 b1 c1"
    assert sketch.add("d") == Added(HotKey("c", 1), True)
    assert listed() == "d2 a1 b1"
    assert sketch.add("a") == HOT
    assert listed() == "a2 d2 b1"
    assert sketch.add("e") == HOT  # ties again
    assert sketch.add("e") == Added(HotKey("b", 1), True)
    assert listed() == "a2 d2 e2"
    assert sketch.add("e") == HOT
    assert listed() == "e3 a2 d2"
    assert sketch.fading() == []
    assert listed() == "a1 d1 e1"


def test_exact_sketch_lets_a_key_enter_with_nothing_as_go_does() -> None:
    sketch = HeavyKeeper(2, width=1, depth=1, exact=True, random=never)
    for _ in range(3):
        sketch.add("a")

    assert sketch.add("b") == HOT
    assert sketch.items() == [HotKey("a", 3), HotKey("b", 0)]


def test_key_without_a_bucket_is_not_taken_in() -> None:
    sketch = HeavyKeeper(2, width=1, depth=1, random=never)
    sketch.add("a", 3)

    assert sketch.add("b") == COLD
    assert sketch.items() == [HotKey("a", 3)]


def test_key_that_only_ties_with_the_least_one_is_cold() -> None:
    sketch = HeavyKeeper(2, width=4096)
    sketch.add("a")
    sketch.add("b")

    assert sketch.add("c") == COLD
    assert "c" not in sketch
    assert sketch.add("c") == Added(HotKey("b", 1), True)
    assert "b" not in sketch
    assert len(sketch) == 2


def test_bucket_goes_to_another_key_when_it_is_worn_down() -> None:
    sketch = HeavyKeeper(1, width=1, depth=1, random=always)
    sketch.add("a", 2)

    assert [sketch.add("b") for _ in range(4)] == [
        COLD,
        COLD,  # the bucket is b's now, with 1
        COLD,  # 2 ties with the count that a had in the top
        Added(HotKey("a", 2), True),
    ]


def test_count_of_a_key_in_the_top_never_falls_though_its_bucket_is_lost() -> None:
    sketch = HeavyKeeper(1, width=1, depth=1, random=always)
    sketch.add("a", 5)
    sketch.add("b", 6)

    assert sketch.add("a") == HOT
    assert sketch.items() == [HotKey("a", 5)]


@pytest.mark.parametrize("exact", [False, True])
def test_key_is_cold_below_the_least_count(exact: bool) -> None:
    sketch = HeavyKeeper(3, min_count=10, exact=exact)

    assert [sketch.add("a").hot for _ in range(11)] == [False] * 9 + [True] * 2


def test_fading_halves_counts_and_total_and_drops_what_is_no_longer_hot() -> None:
    sketch = HeavyKeeper(3, width=4096, min_count=2)
    for key, count in (("a", 9), ("b", 4), ("c", 3)):
        sketch.add(key, count)

    assert sketch.fading() == [HotKey("c", 1)]
    assert sketch.items() == [HotKey("a", 4), HotKey("b", 2)]
    assert sketch.total == 8
    assert sketch.add("c") == HOT  # its buckets still hold 1
    assert sketch.items()[-1] == HotKey("c", 2)


@pytest.mark.parametrize("n", [0, -1])
def test_nothing_is_added_less_than_once(n: int) -> None:
    sketch = HeavyKeeper(2)
    sketch.add("in")

    assert sketch.add("out", n) == COLD
    assert sketch.add("in", n) == HOT
    assert (sketch.total, sketch.items()) == (1, [HotKey("in", 1)])


@given(
    adds=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=300),
    width=st.integers(1, 30),
    k=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_counts_are_never_above_the_truth_and_lists_are_in_order(
    adds: list[tuple[int, int]], width: int, k: int, seed: int
) -> None:
    sketch = HeavyKeeper(k, width=width, depth=3, random=random.Random(seed).random)
    truth = Counter[str]()
    inside = set[str]()

    for number, n in adds:
        key = f"key-{number}"
        truth[key] += n
        expelled, hot = sketch.add(key, n)
        inside |= {key} if hot else set()
        inside -= {expelled.key} if expelled else set()
        assert hot == (key in sketch)

    items = sketch.items()
    assert {item.key for item in items} == inside
    assert len(items) == len(sketch) <= k
    assert all(0 < item.count <= truth[item.key] for item in items)
    assert items == sorted(items, key=lambda item: (-item.count, item.key))
    assert sketch.total == sum(truth.values())


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=8), k=st.integers(1, 8))
def test_many_at_once_count_like_one_by_one_while_keys_do_not_meet(
    counts: list[int], k: int
) -> None:
    once, many = HeavyKeeper(k, width=4096), HeavyKeeper(k, width=4096)

    for number, count in enumerate(counts):
        many.add(str(number), count)
        for _ in range(count):
            once.add(str(number))

    assert [item.count for item in many.items()] == [item.count for item in once.items()]


def test_many_arrivals_wear_a_bucket_down_as_often_as_single_ones_do() -> None:
    def left(n: int, times: int, seed: int) -> int:
        sketch = HeavyKeeper(1, width=1, depth=1, decay=0.9, random=random.Random(seed).random)
        sketch.add("a", 12)
        for _ in range(times):
            sketch.add("b", n)
        sketch.add("c", 10**9)  # never comes to nothing: what it gets tells nothing of a
        return sketch.items()[0].key == "a"

    single = sum(left(1, 40, seed) for seed in range(2000))
    many = sum(left(40, 1, seed) for seed in range(2000))

    assert abs(single - many) < 120


@pytest.mark.parametrize(
    ("k", "s", "width", "error"),
    [
        (100, 1.1, 4096, 0.001),
        (100, 1.1, 1024, 0.02),
        (100, 0.9, 4096, 0.01),
        (10, 1.1, 1024, 0.001),
    ],
)
def test_the_most_frequent_of_many_keys_are_found(
    k: int, s: float, width: int, error: float
) -> None:
    keys = zipf(s, 1, 100_000, 200_000, seed=4)
    sketch = HeavyKeeper(k, width=width, depth=4, random=random.Random(4).random)
    for key in keys:
        sketch.add(key)

    truth = Counter(keys)
    border = truth.most_common(k)[-1][1]
    found = sketch.items()

    assert sum(truth[item.key] >= border for item in found) >= 0.97 * k
    assert all(item.count <= truth[item.key] for item in found)
    misses = [1 - item.count / truth[item.key] for item in found]
    assert sum(misses) / len(misses) < error


@pytest.mark.parametrize("exact", [False, True])
def test_zipf_of_go_gives_the_ranks_in_order(exact: bool) -> None:
    sketch = HeavyKeeper(10, width=10_000, depth=5, exact=exact, random=random.Random(1).random)
    keys = zipf(3, 2, 1000, 10_000, seed=0)
    truth = Counter(keys)
    assert all(truth[str(a)] > truth[str(a + 1)] for a in range(10)), "the draw has an order"

    for key in keys:
        sketch.add(key)

    assert [item.key for item in sketch.items()] == [str(rank) for rank in range(10)]


def test_stats_tell_what_was_seen() -> None:
    sketch = HeavyKeeper(1, width=4096)
    assert sketch.stats().least == 0
    for key in "abb":
        sketch.add(key)

    stats = sketch.stats()

    assert (stats.total, stats.hot, stats.least, stats.expelled) == (3, 1, 2, 1)


def test_width_follows_k_as_in_go() -> None:
    assert [default_width(k) for k in (1, 100, 6000, 10_000)] == [1024, 4096, 8192, 9216]


def test_threadsafe_sketch_counts_alike() -> None:
    plain, locked = HeavyKeeper(3), HeavyKeeper(3, threadsafe=True)
    for key in "abacabad":
        assert plain.add(key) == locked.add(key)

    assert plain.items() == locked.items()
    assert ("a" in locked, len(locked), locked.total) == (True, 3, 8)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"k": 0}, "k"),
        ({"k": 1, "width": 0}, "width"),
        ({"k": 1, "depth": 0}, "depth"),
        ({"k": 1, "decay": 1.5}, "decay"),
        ({"k": 1, "decay": -0.1}, "decay"),
        ({"k": 1, "min_count": -1}, "min_count"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must"):
        HeavyKeeper(**options)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_outermost_decays_work(decay: float) -> None:
    sketch = HeavyKeeper(1, width=1, depth=1, decay=decay, random=random.Random(3).random)
    sketch.add("a", 3)
    sketch.add("b", 10)

    # With 0 a bucket is never lost, with 1 each arrival takes one off.
    assert [item.key for item in sketch.items()] == (["a"] if decay == 0 else ["b"])


def test_order_holds_while_counts_grow_at_random() -> None:
    source = random.Random(9)
    sketch = HeavyKeeper(20, width=2**16, random=source.random)
    for _ in range(5000):
        sketch.add(str(int(source.paretovariate(0.8)) % 500), source.randint(1, 3))
        least = sketch.stats().least
        assert least == min(item.count for item in sketch.items())

    assert all(one.count >= other.count for one, other in pairwise(sketch.items()))
