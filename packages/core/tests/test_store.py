from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kratos.errors import ConfigError, PluginNotFound, StoreFull, StoreUnavailable
from kratos.plugins import register
from kratos.store import BatchStore, MemoryStore, from_url, get_many
from kratos.testing.clock import FakeClock
from kratos.testing.store_contract import StoreBackend, StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    def backend(self) -> StoreBackend:
        clock = FakeClock()
        store = MemoryStore(clock=clock)
        return StoreBackend(store=store, make=lambda: store, lapse=clock.advance)


class TestMemoryThatForgetsNothing(StoreContract):
    @pytest.fixture
    def backend(self) -> StoreBackend:
        clock = FakeClock()
        store = MemoryStore(evict=False, clock=clock)
        return StoreBackend(store=store, make=lambda: store, lapse=clock.advance)


class TestMemoryByUrl(StoreContract):
    @pytest.fixture
    def backend(self) -> StoreBackend:
        store = from_url("memory://?max_entries=1000&max_bytes=8388608")
        return StoreBackend(store=store, make=lambda: store)


class OneByOne:
    """A store that knows nothing of many keys."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self.get = self._store.get
        self.set = self._store.set
        self.set_if_absent = self._store.set_if_absent
        self.replace = self._store.replace
        self.delete = self._store.delete
        self.aclose = self._store.aclose


class TestOneByOne(StoreContract):
    @pytest.fixture
    def backend(self) -> StoreBackend:
        store = OneByOne()
        assert not isinstance(store, BatchStore)
        return StoreBackend(store=store, make=lambda: store)


async def test_first_failure_ends_what_is_asked_of_many_keys() -> None:
    store = OneByOne()
    asked = 0

    async def fail(key: str, /) -> bytes | None:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("away")

    store.get = fail
    with pytest.raises(StoreUnavailable, match="away"):
        await get_many(store, [str(number) for number in range(1000)])
    assert asked <= 32


async def test_empty_store_is_one_that_somebody_gave() -> None:
    given = MemoryStore()
    assert (given or MemoryStore()) is given
    assert len(given) == 0


async def test_entries_not_used_for_longest_make_room() -> None:
    store = MemoryStore(max_entries=2)
    await store.set("a", b"1", ttl=60)
    await store.set("b", b"2", ttl=60)
    await store.get("a")

    await store.set("c", b"3", ttl=60)

    assert [await store.get(key) for key in "abc"] == [b"1", None, b"3"]
    assert store.evicted == 1


async def test_bytes_of_keys_and_values_are_bounded() -> None:
    store = MemoryStore(max_bytes=10)
    await store.set("a", b"1234", ttl=60)
    await store.set("b", b"1234", ttl=60)
    assert store.size == 10

    await store.set("a", b"12345", ttl=60)

    assert await store.get("b") is None
    assert await store.get("a") == b"12345"
    assert store.size == 6


async def test_entry_that_is_too_large_is_refused_and_spoils_nothing() -> None:
    store = MemoryStore(max_bytes=10)
    await store.set("a", b"1", ttl=60)
    with pytest.raises(StoreFull, match="an entry of 11 bytes exceeds max_bytes=10"):
        await store.set("a", b"1234567890", ttl=60)
    assert await store.get("a") == b"1"


async def test_full_store_that_evicts_nothing_refuses_what_is_new() -> None:
    clock = FakeClock()
    store = MemoryStore(max_entries=2, evict=False, clock=clock)
    await store.set("a", b"1", ttl=10)
    await store.set("b", b"2", ttl=60)
    with pytest.raises(StoreFull, match="2 entries of 2"):
        await store.set_if_absent("c", b"3", ttl=60)
    await store.set("b", b"4", ttl=60)
    assert [await store.get("a"), await store.get("b")] == [b"1", b"4"]

    await clock.advance(11)

    await store.set("c", b"3", ttl=60)
    assert await store.get("c") == b"3"
    assert store.evicted == 0


async def test_what_nobody_asks_for_any_more_is_dropped_by_later_writes() -> None:
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for number in range(500):
        await store.set(f"short {number}", b"x" * 100, ttl=1)
    await clock.advance(2)

    for number in range(10):
        await store.set(f"long {number}", b"", ttl=86400)

    assert len(store) == 10


async def test_entries_that_come_and_go_leave_no_trace() -> None:
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    for number in range(2000):
        await store.set("key", b"%d" % number, ttl=86400)
        await store.delete("key")
        await clock.advance(1)

    assert store.size == 0
    inside = vars(store)
    assert len(inside["_buckets"]) == len(inside["_dues"]) <= 4


async def test_closed_store_says_so() -> None:
    store = MemoryStore()
    await store.set("a", b"1", ttl=60)
    await store.aclose()
    assert len(store) == 0
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get("a")


@pytest.mark.parametrize("wrong", [{"max_entries": 0}, {"max_bytes": -1}])
def test_bounds_must_be_positive(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be over 0"):
        MemoryStore(**wrong)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://?entries=5", "did you mean max_entries"),
        ("memory://?max_entries=many", "must be a whole number"),
        ("memory://?max_entries=0", "must be over 0"),
        ("memory://host", "options and nothing else"),
    ],
)
def test_wrong_url_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_url(url)


def test_unknown_store_is_refused_with_what_there_is() -> None:
    with pytest.raises(PluginNotFound, match="memory"):
        from_url("memori://")


def test_factory_that_refuses_is_an_error_of_configuration() -> None:
    def refuse(_url: object) -> None:
        raise ValueError("no such place")

    undo = register("kratos.store", "refusing", refuse)
    try:
        with pytest.raises(ConfigError, match="refusing://: no such place"):
            from_url("refusing://")
    finally:
        undo()


KEYS = st.sampled_from("abcd")
VALUES = st.sampled_from([b"", b"1", b"22", b"333"])
TTLS = st.sampled_from([1.0, 5.0, 70.0, 1000.0])
STEPS = st.one_of(
    st.tuples(st.just("get"), KEYS),
    st.tuples(st.just("set"), KEYS, VALUES, TTLS),
    st.tuples(st.just("set_if_absent"), KEYS, VALUES, TTLS),
    st.tuples(st.just("replace"), KEYS, VALUES, VALUES, TTLS),
    st.tuples(st.just("delete"), KEYS, st.one_of(st.none(), VALUES)),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 4.5, 60.0])),
)


class Model:
    """A dictionary of what is to be found, and until when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kept: dict[str, tuple[float, bytes]] = {}

    def get(self, key: str) -> bytes | None:
        until, value = self.kept.get(key, (0.0, b""))
        return value if until > self.now else None

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self.kept[key] = (self.now + ttl, value)

    def set_if_absent(self, key: str, value: bytes, ttl: float) -> bool:
        return self.get(key) is None and self.replace(key, value, None, ttl)

    def replace(self, key: str, value: bytes, expected: bytes | None, ttl: float) -> bool:
        if self.get(key) != expected:
            return False
        self.set(key, value, ttl)
        return True

    def delete(self, key: str, expected: bytes | None) -> bool:
        found = self.get(key)
        if found is None or expected not in (None, found):
            return False
        del self.kept[key]
        return True

    def wait(self, seconds: float) -> None:
        self.now += seconds


class SteppedClock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float, /) -> None:
        raise AssertionError(seconds)


@given(st.lists(STEPS, max_size=60))
async def test_any_sequence_of_operations_agrees_with_a_model(steps: list[tuple[Any, ...]]) -> None:
    clock, model = SteppedClock(), Model()
    store = MemoryStore(clock=clock)
    for name, *arguments in steps:
        expected = getattr(model, name)(*arguments)
        match name, arguments:
            case "wait", [seconds]:
                clock.now += float(seconds)
                continue
            case "get", [key]:
                found: object = await store.get(key)
            case "delete", [key, value]:
                found = await store.delete(key, expected=value)
            case "replace", [key, value, old, ttl]:
                found = await store.replace(key, value, expected=old, ttl=ttl)
            case _, [key, value, ttl]:
                found = await getattr(store, name)(key, value, ttl=ttl)
            case _:
                raise AssertionError(name)
        assert found == expected
    found_by_model = [(key, model.get(key)) for key in "abcd"]
    assert store.size >= sum(len(key) + len(one) for key, one in found_by_model if one is not None)
    assert set("abcd").issuperset(store)
