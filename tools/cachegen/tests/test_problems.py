"""What is wrong with an interface is told with its line and what to write."""

from __future__ import annotations

import pytest

from kratos_cachegen.source.problems import SourceProblem
from kratos_cachegen.source.reader import read
from kratos_cachegen.writing.module import write

HEAD = """\
from collections.abc import Mapping, Sequence
from typing import Protocol
from kratos_cachegen import MARK, bts, mc, redis

class Book: ...

class Books(Protocol):
"""

ONE = "async def book(self, id: int) -> Book | None: ..."
GET = "async def get_book(self, id: int) -> Book | None: ..."
TEXT = "async def title(self, id: int) -> str: ..."
MANY = "async def books(self, ids: Sequence[int]) -> Mapping[int, Book]: ..."


def problem(*lines: str) -> SourceProblem:
    with pytest.raises(SourceProblem) as raised:
        write(read(HEAD + "".join(f"    {line}\n" for line in lines), "books"), "books.py")
    return raised.value


@pytest.mark.parametrize(
    ("decorator", "method", "message"),
    [
        ("@bts()", TEXT, 'an absent str looks like "": give nullcache'),
        ("@bts(nullcache='')", TEXT, "nullcache='' is what an absent value looks like"),
        ("@bts(nullcache=0)", "async def n(self, id: int) -> int: ...", "nullcache=0 is what"),
        ("@bts(nullcache=[])", "async def n(self, id: int) -> list[int]: ...", "is what an absent"),
        ("@bts(nullcache=Book())", ONE, "say by check_null_code which Book is the placeholder"),
        ("@bts(check_null_code='$.id == 1')", ONE, "tells the placeholder that nullcache gives"),
        ("@bts(nullcache=Book(), check_null_code='x')", ONE, "tests the value, which is $ in it"),
        ("@bts(nullcache=Book(), check_null_code='$ +')", ONE, "no expression of Python"),
        (
            "@bts(nullcache=[0], check_null_code='len($) == 0')",
            "async def n(self, id: int) -> list[int]: ...",
            "is true of what is absent as well",
        ),
        ("@bts(nullcache=MARK)", ONE, "nullcache=MARK is for caches that are generated"),
        ("@bts(batch=2)", MANY, "batch and max_group go together"),
        ("@bts(batch=2, max_group=2)", ONE, "batch and max_group are for methods of many keys"),
        ("@bts(batch=-2, max_group=2)", MANY, "batch=-2 must not be negative"),
        ("@bts(batch=N, max_group=2)", MANY, "batch is a whole number, written in the decorator"),
        ("@bts(sync=1)", ONE, "sync is True or False"),
        ("@bts(cache_err='ignore')", ONE, "cache_err='ignore' is one of continue, break"),
        ("@bts(paging=True)", MANY, "paging is for methods of one key"),
        ("@bts(prefetch=9)", ONE, "prefetch is for methods of many keys"),
        ("@bts(ignores='a|b|c|d')", ONE, "has three parts"),
        ("@bts(ignores='page')", ONE, "ignores names page; further parameters are none"),
        ("@bts(custom_method='a b')", ONE, "names functions of cache, source and write"),
        ("@bts(custom_method='|missing')", ONE, "neither defines nor imports 'missing'"),
        ("@bts(nul=1)", ONE, "@bts has no option nul; it has batch,"),
        ("@bts(1)", ONE, "takes its options by name"),
        ("@bts", ONE, "write @bts()"),
        ("@bts(struct_name='a b')", ONE, "struct_name is the name of a class"),
        ("@bts()", "def book(self, id: int) -> Book | None: ...", "a method with async def"),
        ("@bts()", "async def book(self, *ids: int) -> Book | None: ...", "takes no * and no **"),
        ("@bts()", "async def book(id: int) -> Book | None: ...", "the first parameter is self"),
        ("@bts()", "async def book(self, id) -> Book | None: ...", "the parameter id needs a type"),
        ("@bts()", "async def book(self, id: int) -> Book: ...", "write Book | None"),
        ("@bts()", "async def book(self, id: int): ...", "None does not say what is kept"),
        ("@bts()", "async def book(self, id: int) -> Book | int: ...", "is of several types"),
        ("@bts()", "async def book(self, id: int) -> list: ...", "does not say what is kept"),
        ("@bts()", "async def book(self, id: int) -> Sequence[int]: ...", "a list or a dict"),
        ("@bts()", "async def book(self, id: int) -> Shelf | None: ...", "imports 'Shelf'"),
        (
            "@bts()",
            "async def books(self, ids: Sequence[int]) -> Mapping[int, Book | None]: ...",
            "leaves out what is absent: write Book",
        ),
        ("@redis()", "async def book(self, id: int) -> Book | None: ...", "say type=, or @bts()"),
        ("@redis(type='put')", ONE, "type is one of get, set, del, replace, only_add"),
        ("@redis(stale=3)", GET, "stale is for"),
        ("@redis(jitter=2)", GET, "jitter=2"),
        ("@redis(expire=0)", GET, "expire=0"),
        ("@redis(encode='gob')", GET, "Go's own"),
        ("@redis(encode='xml')", GET, "made of"),
        ("@redis(encode='raw')", GET, "'raw' is"),
        ("@redis(encode='pb|json')", "async def get_b(self) -> Book | None: ...", "more than one"),
        ("@redis(key='a b')", GET, "names a"),
        ("@redis(null_expire=0)", "async def get_b(self) -> Book | None: ...", "null_expire=0"),
        ("@redis(batch=1, max_group=1)", "async def del_b(self, i: int) -> None: ...", "of many"),
        ("@redis()", "async def set_book(self) -> None: ...", "takes what is to be kept"),
        ("@redis()", "async def set_book(self, id: int, v: Book) -> int: ...", "returns None"),
        ("@redis()", "async def replace_b(self, v: dict[int, Book]) -> None: ...", "for one key"),
    ],
)
def test_wrong_method_is_refused_at_its_line(decorator: str, method: str, message: str) -> None:
    found = problem("", decorator, method)
    assert message in str(found)
    assert found.line in (9, 10)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("@bts(paging=True)", "@redis()", ONE), "paging needs a cache that cuts pages"),
        (("@bts(custom_method='len')", "@redis()", ONE), "names the source alone"),
        (("@bts()", "@redis(check_null_code='$')", ONE), "is an option of bts here"),
        (("@redis()", "@mc()", ONE), "one bts and one cache at most"),
        (("@bts()", "@bts()", ONE), "one bts and one cache at most"),
        (
            ("@bts()", "@redis()", ONE, "@redis()", "async def del_cache_book(self, id: int): ..."),
            "make one del_cache_book",
        ),
        (
            (
                "@redis()",
                GET,
                "@redis()",
                "async def del_book(self, id: str) -> None: ...",
            ),
            "say by key= which function makes them",
        ),
        (
            ("@bts(struct_name='A')", ONE, "@bts(struct_name='B')", MANY),
            "one interface makes one class",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(lines: tuple[str, ...], message: str) -> None:
    assert message in str(problem(*lines))


def test_two_classes_of_one_name_are_refused() -> None:
    more = ["class B(Protocol):", "    @bts(struct_name='CachedBooks')", f"    {ONE}"]
    source = HEAD + f"    @bts()\n    {ONE}\n" + "\n".join(more)
    with pytest.raises(SourceProblem, match="two interfaces make a class CachedBooks"):
        read(source, "books")


def test_what_is_no_python_is_refused_at_its_line() -> None:
    with pytest.raises(SourceProblem, match="this is no Python") as raised:
        read("x = 1\ny = = 2\n", "books")
    assert raised.value.line == 2
