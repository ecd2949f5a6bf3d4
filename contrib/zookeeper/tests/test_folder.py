"""Reading of children, against a session that answers as the tests tell it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kratos.errors import RegistryUnavailable
from kratos_zookeeper.connection import Connection
from kratos_zookeeper.folder import Folder


class Told:
    """In place of a connection and its session: data of children, and what was asked for."""

    error = RegistryUnavailable

    def __init__(self, **children: bytes) -> None:
        self.children = children
        self.asked: list[str] = []
        self.before_answer: Callable[[str], None] = lambda _name: None
        self.tell: Callable[[str | None], None] = lambda _path: None

    @asynccontextmanager
    async def asking(self, _action: str, _session: object = None) -> AsyncGenerator[Told]:
        yield self

    def hear(self, _folder: str, listener: Callable[[str | None], None]) -> Callable[[], None]:
        self.tell = listener
        return lambda: None

    def watch(self, event: object) -> None:
        raise AssertionError(event)

    def send(self, method: str, path: str, **_options: object) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if method == "get_children_async":
            future.set_result(list(self.children))
            return future
        name = path.rpartition("/")[2]
        self.asked.append(name)
        answer = (self.children[name], SimpleNamespace(czxid=1, mzxid=1))
        self.before_answer(name)
        future.set_result(answer)
        return future


def folder_of(told: Told) -> Folder[str]:
    def decode(name: str, data: bytes, _version: object) -> str | None:
        return f"{name}={data.decode()}" if data else None

    return Folder(cast("Connection", told), "/p", decode)


async def test_only_what_changed_is_read_again() -> None:
    told = Told(a=b"1", b=b"1", c=b"1")
    folder = folder_of(told)
    state = await folder.read()
    assert state.value == ("a=1", "b=1", "c=1")
    told.asked.clear()
    told.children["b"] = b"2"
    told.tell("/p/b")
    told.tell("/p")

    assert await folder.changed(state.token) is None
    assert (await folder.read()).value == ("a=1", "b=2", "c=1")
    assert told.asked == ["b"]


async def test_event_that_overtakes_the_answer_it_is_about_is_not_lost() -> None:
    told = Told(a=b"1")
    folder = folder_of(told)

    def overtake(name: str) -> None:
        told.children[name] = b"2"
        told.before_answer = lambda _name: None
        told.tell(f"/p/{name}")

    told.before_answer = overtake
    state = await folder.read()
    assert state.value == ("a=1",)

    assert await folder.changed(state.token) is None
    assert (await folder.read()).value == ("a=2",)


async def test_children_that_are_gone_are_forgotten() -> None:
    told = Told(a=b"1", b=b"1")
    folder = folder_of(told)
    await folder.read()
    del told.children["a"]
    told.tell("/p/a")
    assert (await folder.read()).value == ("b=1",)
    assert (folder._known, folder._touched) == ({"b": "b=1"}, set())  # pyright: ignore[reportPrivateUsage]


async def test_unreadable_child_is_left_out_and_not_asked_for_again() -> None:
    told = Told(a=b"", b=b"1")
    folder = folder_of(told)
    assert (await folder.read()).value == ("b=1",)
    assert (await folder.read()).value == ("b=1",)
    assert told.asked == ["a", "b"]


@pytest.mark.parametrize("reason", ["closed", "lost"])
async def test_end_wakes_who_waits(reason: str) -> None:
    told = Told()
    folder = folder_of(told)
    state = await folder.read()
    waiting = asyncio.ensure_future(folder.changed(state.token))
    await asyncio.sleep(0)
    assert not waiting.done()
    if reason == "closed":
        await folder.aclose()
    else:
        told.tell(None)
    with pytest.raises(RegistryUnavailable, match=f"the watcher of /p .*{reason}"):
        await waiting
