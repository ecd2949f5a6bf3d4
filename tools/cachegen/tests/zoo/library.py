"""Interfaces whose caches are written by hand: what is tested is the flow between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kratos_cachegen import bts

NOBODY = -1


@dataclass(frozen=True)
class Book:
    id: int
    title: str = ""


class Library(Protocol):
    """Where books are."""

    @bts(nullcache=Book(id=NOBODY), check_null_code="$.id == NOBODY")
    async def book(self, id: int) -> Book | None:
        """Return a book, if there is one."""
        ...

    @bts(cache_err="break", sync=True)
    async def strict(self, id: int) -> Book | None: ...

    @bts(nullcache="-", sync=True)
    async def title(self, id: int, lang: str = "en", *, short: bool = False) -> str: ...

    @bts(sync=True)
    async def newest(self) -> list[int]: ...

    @bts(nullcache=Book(id=NOBODY), check_null_code="$.id == NOBODY", sync=True)
    async def books(self, ids: Sequence[int]) -> dict[int, Book]: ...

    @bts(cache_err="break", sync=True)
    async def strict_books(self, ids: list[int]) -> Mapping[int, Book]: ...

    @bts(batch=2, max_group=2, sync=True)
    async def loans(self, ids: Sequence[int]) -> Mapping[int, int]: ...

    @bts(batch=2, max_group=2, batch_err="continue", sync=True)
    async def all_loans(self, ids: Sequence[int]) -> Mapping[int, int]: ...

    @bts(nullcache="-", sync=True)
    async def titles(self, ids: Sequence[int], lang: str) -> Mapping[int, str]: ...

    @bts(paging=True, ignores="||page,size", sync=True)
    async def shelf(self, id: int, page: int, size: int) -> list[int]: ...

    @bts(ignores="now|lang|now,lang", sync=True)
    async def note(self, id: int, lang: str, now: float) -> Book | None: ...

    @bts(singleflight=True)
    async def popular(self, id: int) -> Book | None: ...

    @bts(singleflight=True, sync=True)
    async def populars(self, ids: Sequence[int]) -> dict[int, Book]: ...


class Desk(Protocol):
    """What is asked at the desk, of others than the class itself."""

    books: Library

    @bts(
        custom_method="nothing|self.books.newest|keep",
        struct_name="CustomDesk",
        sync=True,
    )
    async def advice(self) -> list[int]: ...


KEPT: list[list[int]] = []


async def nothing() -> list[int]:
    return []


async def keep(value: list[int]) -> None:
    KEPT.append(value)
