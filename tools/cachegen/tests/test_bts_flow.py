"""The flow of generated methods, step by step, as Kratos' genbts has it.

The cache and the source are fakes that note what they are asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tools.cachegen.tests.zoo.library import KEPT, NOBODY, Book, Library
from tools.cachegen.tests.zoo.library_cache import CachedLibrary, CustomDesk

from kratos.metrics import MemoryMeter
from kratos.testing.echo import ECHO
from kratos.transport import Call, Side, server_call
from kratos.transport.call import SERVER_CALL
from kratos_cachegen import AsideOptions, partial_result

NONE = Book(NOBODY)


class Shelves(CachedLibrary):
    """Keeps everything in dictionaries, and notes each question."""

    def __init__(self, options: AsideOptions | None = None) -> None:
        super().__init__(options=options)
        self.cache: dict[Any, Any] = {}
        self.source: dict[Any, Any] = {}
        self.asked: list[tuple[Any, ...]] = []
        self.cache_error: Exception | None = None
        self.source_error: Exception | None = None
        self.write_error: Exception | None = None

    def _read(self, *question: Any) -> dict[Any, Any]:
        self.asked.append(("cache", *question))
        if self.cache_error is not None:
            raise self.cache_error
        return self.cache

    def _load(self, *question: Any) -> dict[Any, Any]:
        self.asked.append(("raw", *question))
        if self.source_error is not None:
            raise self.source_error
        return self.source

    def _write(self, *question: Any) -> None:
        self.asked.append(("add", *question))
        if self.write_error is not None:
            raise self.write_error

    def _some(self, known: Mapping[Any, Any], keys: Sequence[Any]) -> dict[Any, Any]:
        return {key: known[key] for key in keys if key in known}

    async def cache_book(self, id: int) -> Book | None:
        return self._read(id).get(id)

    async def raw_book(self, id: int) -> Book | None:
        return self._load(id).get(id)

    async def add_cache_book(self, id: int, value: Book) -> None:
        self._write(id, value)
        self.cache[id] = value

    cache_strict = cache_popular = cache_book
    raw_strict = raw_popular = raw_book
    add_cache_strict = add_cache_popular = add_cache_book

    async def cache_title(self, id: int, lang: str = "en", *, short: bool = False) -> str:
        title: str = self._read(id, lang, short).get(id, "")
        return title

    async def raw_title(self, id: int, lang: str = "en", *, short: bool = False) -> str:
        title: str = self._load(id, lang, short).get(id, "")
        return title

    async def add_cache_title(
        self, id: int, value: str, lang: str = "en", *, short: bool = False
    ) -> None:
        self._write(id, value, lang, short)

    async def cache_newest(self) -> list[int]:
        numbers: list[int] = self._read().get("newest", [])
        return numbers

    async def raw_newest(self) -> list[int]:
        numbers: list[int] = self._load().get("newest", [])
        return numbers

    async def add_cache_newest(self, value: list[int]) -> None:
        self._write(value)

    async def cache_books(self, ids: Sequence[int]) -> Mapping[int, Book]:
        return self._some(self._read(list(ids)), ids)

    async def raw_books(self, ids: Sequence[int]) -> Mapping[int, Book]:
        return self._some(self._load(list(ids)), ids)

    async def add_cache_books(self, values: Mapping[int, Book]) -> None:
        self._write(dict(values))

    cache_strict_books = cache_populars = cache_books
    raw_strict_books = raw_populars = raw_books
    add_cache_strict_books = add_cache_populars = add_cache_books

    async def cache_loans(self, ids: Sequence[int]) -> Mapping[int, int]:
        return self._some(self._read(list(ids)), ids)

    async def raw_loans(self, ids: Sequence[int]) -> Mapping[int, int]:
        self.asked.append(("raw", list(ids)))
        await asyncio.sleep(0)
        if any(key in self.source and self.source[key] is None for key in ids):
            raise LookupError(f"one of {list(ids)}")
        return self._some(self.source, ids)

    async def add_cache_loans(self, values: Mapping[int, int]) -> None:
        self._write(dict(values))

    cache_all_loans = cache_loans
    raw_all_loans = raw_loans
    add_cache_all_loans = add_cache_loans

    async def cache_titles(self, ids: Sequence[int], lang: str) -> Mapping[int, str]:
        return self._some(self._read(list(ids), lang), ids)

    async def raw_titles(self, ids: Sequence[int], lang: str) -> Mapping[int, str]:
        return self._some(self._load(list(ids), lang), ids)

    async def add_cache_titles(self, values: Mapping[int, str], lang: str) -> None:
        self._write(dict(values), lang)

    async def cache_shelf(self, id: int, page: int, size: int) -> list[int]:
        full: list[int] = self._read(id, page, size).get(id, [])
        return full[page * size : (page + 1) * size]

    async def raw_shelf(self, id: int, page: int, size: int) -> tuple[list[int], list[int]]:
        full = self._load(id, page, size).get(id, [])
        return full[page * size : (page + 1) * size], full

    async def add_cache_shelf(self, id: int, value: list[int]) -> None:
        self._write(id, value)

    async def cache_note(self, id: int, lang: str) -> Book | None:
        return self._read(id, lang).get(id)

    async def raw_note(self, id: int, now: float) -> Book | None:
        return self._load(id, now).get(id)

    async def add_cache_note(self, id: int, value: Book) -> None:
        self._write(id, value)


class Desk(CustomDesk):
    def __init__(self, books: Library) -> None:
        super().__init__()
        self.books = books


@pytest.fixture
def meter() -> MemoryMeter:
    return MemoryMeter()


@pytest.fixture
def shelves(meter: MemoryMeter) -> Shelves:
    return Shelves(AsideOptions(meter=meter))


def figures(meter: MemoryMeter, name: str) -> tuple[float, float]:
    """Return hits and misses."""
    return (
        meter.value("cache_hits_total", name=f"bts:{name}"),
        meter.value("cache_misses_total", name=f"bts:{name}"),
    )


async def test_empty_list_of_keys_asks_nobody(shelves: Shelves) -> None:
    assert await shelves.books([]) == {}
    assert shelves.asked == []


async def test_hit_is_counted_and_the_source_not_asked(
    shelves: Shelves, meter: MemoryMeter
) -> None:
    shelves.cache = {1: Book(1)}
    assert await shelves.book(1) == Book(1)
    assert shelves.asked == [("cache", 1)]
    assert figures(meter, "book") == (1, 0)


async def test_miss_is_counted_loaded_and_written_later(
    shelves: Shelves, meter: MemoryMeter
) -> None:
    shelves.source = {1: Book(1)}
    assert await shelves.book(1) == Book(1)
    assert shelves.asked == [("cache", 1), ("raw", 1)]
    await shelves.drain()
    assert shelves.asked[2:] == [("add", 1, Book(1))]
    assert figures(meter, "book") == (0, 1)


async def test_what_is_written_by_sync_is_written_when_the_method_returns(
    shelves: Shelves,
) -> None:
    shelves.source = {"newest": [3, 2]}
    assert await shelves.newest() == [3, 2]
    assert shelves.asked == [("cache",), ("raw",), ("add", [3, 2])]


async def test_absent_value_gets_its_placeholder_and_the_caller_none(shelves: Shelves) -> None:
    assert await shelves.book(1) is None
    await shelves.drain()
    assert shelves.asked == [("cache", 1), ("raw", 1), ("add", 1, NONE)]


async def test_placeholder_is_a_hit_and_the_caller_gets_none(
    shelves: Shelves, meter: MemoryMeter
) -> None:
    shelves.cache = {1: NONE, 2: "-"}
    assert await shelves.book(1) is None
    assert await shelves.title(2) == ""
    assert [question[0] for question in shelves.asked] == ["cache", "cache"]
    assert figures(meter, "book") == (1, 0)


async def test_absent_value_without_placeholder_is_not_written(shelves: Shelves) -> None:
    assert await shelves.strict(1) is None
    assert await shelves.newest() == []
    assert [question[0] for question in shelves.asked] == ["cache", "raw", "cache", "raw"]


async def test_cache_that_fails_is_passed_over_and_left_alone(
    shelves: Shelves, meter: MemoryMeter
) -> None:
    shelves.cache_error = OSError("away")
    shelves.source = {1: Book(1)}
    assert await shelves.book(1) == Book(1)
    assert await shelves.books([1, 2]) == {1: Book(1)}
    await shelves.drain()
    assert [question[0] for question in shelves.asked] == ["cache", "raw", "cache", "raw"]
    assert meter.value("cache_errors_total", name="bts:book", operation="read") == 1
    assert figures(meter, "books") == (0, 2)


async def test_cache_that_fails_is_raised_by_break(shelves: Shelves) -> None:
    shelves.cache_error = OSError("away")
    with pytest.raises(OSError, match="away"):
        await shelves.strict(1)
    with pytest.raises(OSError, match="away"):
        await shelves.strict_books([1])
    assert [question[0] for question in shelves.asked] == ["cache", "cache"]


async def test_many_keys_are_split_into_hits_and_misses_and_merged(
    shelves: Shelves, meter: MemoryMeter
) -> None:
    shelves.cache = {1: Book(1), 2: NONE}
    shelves.source = {2: Book(2), 3: Book(3)}
    assert await shelves.books([1, 2, 3, 4, 3]) == {1: Book(1), 3: Book(3)}
    assert shelves.asked == [
        ("cache", [1, 2, 3, 4]),
        ("raw", [3, 4]),
        ("add", {3: Book(3), 4: NONE}),
    ]
    assert figures(meter, "books") == (2, 2)


async def test_many_keys_without_misses_ask_no_source(shelves: Shelves) -> None:
    shelves.cache = {1: Book(1), 2: NONE}
    assert await shelves.books([1, 2]) == {1: Book(1)}
    assert shelves.asked == [("cache", [1, 2])]


async def test_empty_text_of_many_is_a_miss_and_zero_is_not(shelves: Shelves) -> None:
    shelves.cache = {1: "", 2: 0}
    shelves.source = {1: "One"}
    assert await shelves.titles([1], "en") == {1: "One"}
    assert await shelves.loans([2]) == {2: 0}
    assert shelves.asked == [
        ("cache", [1], "en"),
        ("raw", [1], "en"),
        ("add", {1: "One"}, "en"),
        ("cache", [2]),
    ]


async def test_source_that_fails_is_raised_as_it_is_with_what_was_found(shelves: Shelves) -> None:
    shelves.cache = {1: Book(1)}
    shelves.source_error = LookupError("gone")
    with pytest.raises(LookupError, match="gone") as raised:
        await shelves.books([1, 2])
    assert raised.value is shelves.source_error
    assert partial_result(raised.value) == {1: Book(1)}
    assert [question[0] for question in shelves.asked] == ["cache", "raw"]


async def test_misses_are_loaded_in_groups(shelves: Shelves) -> None:
    shelves.source = {key: key * 10 for key in range(5)}
    assert await shelves.loans(range(5)) == {key: key * 10 for key in range(5)}
    groups = [question[1] for question in shelves.asked if question[0] == "raw"]
    assert sorted(groups) == [[0, 1], [2, 3], [4]]


async def test_first_error_of_a_group_ends_the_others(shelves: Shelves) -> None:
    shelves.source = {key: None if key == 0 else key for key in range(100)}
    with pytest.raises(LookupError, match=r"one of \[0, 1\]") as raised:
        await shelves.loans(range(100))
    groups = [question for question in shelves.asked if question[0] == "raw"]
    assert len(groups) <= 4
    assert 0 not in partial_result(raised.value)
    assert [question for question in shelves.asked if question[0] == "add"] == []


async def test_other_groups_go_on_after_an_error_by_continue(shelves: Shelves) -> None:
    shelves.source = {key: None if key == 0 else key for key in range(100)}
    with pytest.raises(LookupError) as raised:
        await shelves.all_loans(range(100))
    assert sorted(partial_result(raised.value)) == list(range(2, 100))


async def test_write_that_fails_is_counted_and_nothing_else(
    shelves: Shelves, meter: MemoryMeter
) -> None:
    shelves.write_error = OSError("full")
    shelves.source = {1: Book(1), "newest": [1]}
    assert await shelves.book(1) == Book(1)
    assert await shelves.newest() == [1]
    await shelves.drain()
    assert meter.value("cache_errors_total", name="bts:book", operation="write") == 1
    assert meter.value("cache_errors_total", name="bts:newest", operation="write") == 1


async def test_further_parameters_are_handed_on(shelves: Shelves) -> None:
    shelves.source = {1: "Eins"}
    assert await shelves.title(1, "de", short=True) == "Eins"
    assert shelves.asked == [
        ("cache", 1, "de", True),
        ("raw", 1, "de", True),
        ("add", 1, "Eins", "de", True),
    ]


async def test_ignored_parameters_are_not_handed_on(shelves: Shelves) -> None:
    shelves.source = {1: Book(1)}
    assert await shelves.note(1, "de", 7.0) == Book(1)
    assert shelves.asked == [("cache", 1, "de"), ("raw", 1, 7.0), ("add", 1, Book(1))]


async def test_page_is_returned_and_everything_kept(shelves: Shelves) -> None:
    shelves.source = {1: [1, 2, 3, 4, 5]}
    assert await shelves.shelf(1, 1, 2) == [3, 4]
    assert shelves.asked == [("cache", 1, 1, 2), ("raw", 1, 1, 2), ("add", 1, [1, 2, 3, 4, 5])]


async def test_custom_methods_stand_in_for_those_of_the_class() -> None:
    shelves = Shelves()
    desk = Desk(shelves)
    shelves.source = {"newest": [9]}
    KEPT.clear()
    assert await desk.advice() == [9]
    assert KEPT == [[9]]


async def test_thousand_misses_of_one_key_make_one_load(
    shelves: Shelves, meter: MemoryMeter
) -> None:
    shelves.source = {1: Book(1)}
    found = await asyncio.gather(*(shelves.popular(1) for _ in range(1000)))
    assert found == [Book(1)] * 1000
    assert [question for question in shelves.asked if question[0] == "raw"] == [("raw", 1)]
    assert shelves.asked.count(("add", 1, Book(1))) == 1
    # Who came while it was loaded was not in the cache, and did not look for it there.
    looked = shelves.asked.count(("cache", 1))
    assert figures(meter, "popular") == (looked - 1, 1)
    assert meter.value("cache_joined_total", name="bts:popular") == 1000 - looked


async def test_of_many_keys_each_is_loaded_once(shelves: Shelves) -> None:
    shelves.source = {key: Book(key) for key in range(10)}
    started = asyncio.Event()

    async def slow(ids: Sequence[int]) -> Mapping[int, Book]:
        shelves.asked.append(("raw", list(ids)))
        await started.wait()
        return {key: Book(key) for key in ids if key < 10}

    shelves.raw_populars = slow  # type: ignore[method-assign]
    calls = [
        asyncio.ensure_future(shelves.populars(ids)) for ids in ([1, 2], [2, 3], [3, 1], [99, 2])
    ]
    await asyncio.sleep(0)
    started.set()
    assert await asyncio.gather(*calls) == [
        {1: Book(1), 2: Book(2)},
        {2: Book(2), 3: Book(3)},
        {3: Book(3), 1: Book(1)},
        {2: Book(2)},
    ]
    loaded = [key for question in shelves.asked if question[0] == "raw" for key in question[1]]
    assert sorted(loaded) == [1, 2, 3, 99]


async def test_error_of_the_one_that_loads_is_everybodys(
    shelves: Shelves, meter: MemoryMeter
) -> None:
    loads = 0

    async def fail(_: object) -> None:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0)
        raise LookupError("gone")

    shelves.raw_popular = shelves.raw_populars = fail  # type: ignore[method-assign, assignment]
    ends = await asyncio.gather(*(shelves.popular(1) for _ in range(10)), return_exceptions=True)
    assert [str(end) for end in ends] == ["gone"] * 10
    many = await asyncio.gather(
        *(shelves.populars([1, 2]) for _ in range(10)), return_exceptions=True
    )
    assert [str(end) for end in many] == ["gone"] * 10
    assert loads == 2
    assert meter.value("cache_joined_total", name="bts:popular") == 9


async def test_error_of_one_whose_time_is_over_is_nobody_elses(shelves: Shelves) -> None:
    loop = asyncio.get_running_loop()

    async def load(id: int) -> Book | None:
        await asyncio.sleep(0)
        if server_call() is not None:
            raise TimeoutError("its time is over")
        return Book(id)

    async def late() -> Book | None:
        call = Call(ECHO, side=Side.SERVER, transport="test")
        call.deadline = loop.time() - 1
        SERVER_CALL.set(call)
        return await shelves.popular(1)

    shelves.raw_popular = load  # type: ignore[method-assign]
    ends = await asyncio.gather(
        late(), shelves.popular(1), shelves.popular(1), return_exceptions=True
    )
    assert str(ends[0]) == "its time is over"
    assert list(ends[1:]) == [Book(1), Book(1)]


async def test_next_one_loads_when_the_one_that_loads_is_cancelled(shelves: Shelves) -> None:
    loads: list[asyncio.Future[Book | None]] = []

    async def slow(id: int) -> Book | None:
        loads.append(asyncio.get_running_loop().create_future())
        return await loads[-1]

    shelves.raw_popular = slow  # type: ignore[method-assign]
    calls = [asyncio.ensure_future(shelves.popular(1)) for _ in range(10)]
    while not loads:  # noqa: ASYNC110  what is awaited is a number of turns
        await asyncio.sleep(0)
    calls[0].cancel()
    while len(loads) < 2:  # noqa: ASYNC110  the same
        await asyncio.sleep(0)
    loads[1].set_result(Book(1))
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1:] == [Book(1)] * 9
    assert len(loads) == 2
