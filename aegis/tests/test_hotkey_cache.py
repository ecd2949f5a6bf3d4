from __future__ import annotations

import random
from typing import Any

import pytest

from aegis import ManualClock
from aegis.hotkey import CacheRule, HotKeyCache


def pattern(value: str, ttl: float | None = None) -> CacheRule:
    return CacheRule(mode="pattern", value=value, ttl=ttl)


def test_white_list_is_kept_where_no_hot_keys_are_sought() -> None:
    cache = HotKeyCache[int](hot_key_count=0, white_list=[pattern("^1[0-9]{2}")])

    assert not any(cache.add_with_value(str(number), number) for number in range(200))

    assert [n for n in range(200) if cache.get(str(n)) is not None] == list(range(100, 200))
    assert cache.items() == []


def test_white_list_is_kept_beside_hot_keys() -> None:
    cache = HotKeyCache[int](white_list=[pattern("^1[0-9]{1,2}")])

    for number in range(100, 300):
        cache.add_with_value(str(number), number)

    assert [n for n in range(100, 300) if cache.get(str(n)) == n] == list(range(100, 200))


def test_hot_keys_are_kept_unless_they_are_on_the_black_list() -> None:
    source = random.Random(5)
    weights = [(2 + rank) ** -2 for rank in range(1000)]
    cache = HotKeyCache[int](
        hot_key_count=10,
        auto_cache=True,
        black_list=[pattern("^2$"), CacheRule(value="3")],
        random=source.random,
        clock=ManualClock(),
    )

    for rank in source.choices(range(1000), weights, k=20_000):
        cache.add_with_value(str(rank), rank)

    assert {item.key for item in cache.items()} >= {"0", "1", "2", "3"}
    assert [cache.get(str(rank)) for rank in range(6)] == [0, 1, None, None, 4, 5]


def test_key_is_hot_from_the_least_count_on() -> None:
    cache = HotKeyCache[str](min_count=10, auto_cache=True)

    assert [cache.add_with_value("k", "v") for _ in range(10)] == [False] * 9 + [True]
    assert cache.get("k") == "v"


def test_value_is_dropped_when_its_time_is_over() -> None:
    clock = ManualClock()
    cache = HotKeyCache[str](auto_cache=True, cache_ttl=0.5, clock=clock)
    cache.add_with_value("k", "v")

    clock.advance(0.4)
    assert cache.get("k") == "v"
    clock.advance(0.1)
    assert cache.get("k") is None
    assert len(cache) == 0


def test_value_expires_after_months_too() -> None:
    clock = ManualClock()
    cache = HotKeyCache[str](auto_cache=True, clock=clock)
    clock.advance(2**33 / 1000)

    cache.add_with_value("k", "v")

    assert cache.get("k") == "v"
    clock.advance(1.0)
    assert cache.get("k") is None


def test_time_of_the_white_list_goes_before_that_of_the_cache() -> None:
    clock = ManualClock()
    cache = HotKeyCache[str](
        auto_cache=True, cache_ttl=1.0, white_list=[CacheRule(value="k", ttl=9.0)], clock=clock
    )
    cache.add_with_value("k", "v")

    clock.advance(8.9)

    assert cache.get("k") == "v"


def test_black_list_goes_before_the_white_list() -> None:
    cache = HotKeyCache[str](white_list=[pattern("k")], black_list=[CacheRule(value="key")])

    cache.add_with_value("key", "v")
    cache.add_with_value("key2", "v")

    assert (cache.get("key"), cache.get("key2")) == (None, "v")


def test_empty_key_matches_only_what_it_should() -> None:
    cache = HotKeyCache[str](white_list=[pattern("^a")])

    cache.add_with_value("", "v")

    assert cache.get("") is None


def test_rule_for_one_key_goes_before_patterns_and_the_first_pattern_before_others() -> None:
    clock = ManualClock()
    rules = [pattern("a", 1.0), pattern("ab", 2.0), CacheRule(value="ab", ttl=3.0)]
    cache = HotKeyCache[str](white_list=rules, clock=clock)
    for key in ("ab", "abc"):
        cache.add_with_value(key, "v")

    clock.advance(1.5)

    assert (cache.get("ab"), cache.get("abc")) == ("v", None)


@pytest.mark.parametrize("with_value", [True, False])
def test_value_goes_when_its_key_leaves_the_top(with_value: bool) -> None:
    cache = HotKeyCache[str](hot_key_count=1, auto_cache=True)
    cache.add_with_value("old", "v")

    for _ in range(2):
        if with_value:
            cache.add_with_value("new", "w")
        else:
            cache.add("new")

    assert cache.get("old") is None


def test_value_of_the_white_list_stays_when_its_key_leaves_the_top() -> None:
    cache = HotKeyCache[str](hot_key_count=1, auto_cache=True, white_list=[CacheRule(value="old")])
    cache.add_with_value("old", "v")

    cache.add("new", 2)

    assert cache.get("old") == "v"


def test_fading_drops_the_values_of_keys_that_are_hot_no_more() -> None:
    cache = HotKeyCache[str](auto_cache=True, min_count=2)
    cache.add_with_value("warm", "v", 2)
    cache.add_with_value("hot", "v", 4)

    cache.fading()

    assert (cache.get("warm"), cache.get("hot")) == (None, "v")
    assert cache.stats().total == 3


def test_fading_drops_expired_values_that_nobody_asks_for() -> None:
    clock = ManualClock()
    cache = HotKeyCache[int](local_cache_count=0, white_list=[pattern("")], clock=clock)
    for number in range(100):
        cache.add_with_value(str(number), number)
        clock.advance(0.1)

    cache.fading()

    assert len(cache) == 9  # of the last second, in which each value lives
    assert cache.get("99") == 99


def test_new_value_that_is_not_kept_takes_the_old_one_away() -> None:
    cache = HotKeyCache[str](hot_key_count=1, auto_cache=True, white_list=[CacheRule(value="w")])
    cache.add_with_value("k", "old")
    cache.add("other", 2)  # k is cold now, and so is its value
    cache.add_with_value("w", "1")
    cache.add_with_value("w", "2")

    assert not cache.add_with_value("k", "new")

    assert (cache.get("k"), cache.get("w")) == (None, "2")


def test_value_used_longest_ago_leaves_for_want_of_room() -> None:
    cache = HotKeyCache[str](local_cache_count=2, auto_cache=True)
    cache.add_with_value("a", "1")
    cache.add_with_value("b", "2")
    cache.get("a")

    cache.add_with_value("c", "3")

    assert [cache.get(key) for key in "abc"] == ["1", None, "3"]
    assert cache.stats().evicted == 1


def test_cache_without_limit_holds_everything() -> None:
    cache = HotKeyCache[int](hot_key_count=0, local_cache_count=0, white_list=[pattern("")])

    for number in range(3000):
        cache.add_with_value(str(number), number)

    assert len(cache) == 3000


def test_deleted_values_are_gone_and_their_keys_still_hot() -> None:
    cache = HotKeyCache[str](auto_cache=True)
    cache.add_with_value("a", "1")
    cache.add_with_value("b", "2")

    cache.delete("a")
    cache.delete("never")
    assert (cache.get("a"), cache.get("b")) == (None, "2")
    cache.clear()

    assert len(cache) == 0
    assert [item.key for item in cache.items()] == ["a", "b"]


def test_cache_without_search_for_hot_keys_calls_none_hot() -> None:
    cache = HotKeyCache[str](hot_key_count=0)

    assert not cache.add("k")
    assert not cache.add_with_value("k", "v")
    cache.fading()
    assert cache.stats().hot == 0


def test_stats_count_hits_and_misses() -> None:
    cache = HotKeyCache[str](auto_cache=True, threadsafe=True)
    cache.get("k")
    cache.add_with_value("k", "v", 3)
    cache.get("k")
    cache.get("k")

    stats = cache.stats()

    assert (stats.entries, stats.hits, stats.misses, stats.hot, stats.total) == (1, 2, 1, 1, 3)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"value": "a(", "mode": "pattern"}, r"rule 'a\(': not a regular expression"),
        ({"value": "a", "mode": "glob"}, "rule 'a': mode must be key or pattern, got 'glob'"),
        ({"value": "a", "ttl": 0.0}, "rule 'a': ttl must be"),
        ({"value": "a", "ttl": float("inf")}, "rule 'a': ttl must be"),
    ],
    ids=str,
)
def test_rule_that_cannot_be_meant_is_refused_by_name(rule: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        CacheRule(**rule)


@pytest.mark.parametrize(
    ("option", "value"),
    [("hot_key_count", -1), ("local_cache_count", -1), ("cache_ttl", 0.0), ("min_count", -1)],
)
def test_options_out_of_range_are_refused(option: str, value: Any) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ValueError, match=f"^{option} must"):
        HotKeyCache[str](**options)
