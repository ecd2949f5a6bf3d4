"""The source of configuration in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from kratos.config import KeyValue
from kratos.errors import ConfigError
from kratos.testing import FakeClock, MemorySource
from kratos.watch import Feed


async def read(source: MemorySource) -> Sequence[KeyValue]:
    watcher = await source.watch()
    state = await watcher.read()
    await watcher.aclose()
    return state.value


async def test_documents_are_read_in_their_order_by_the_codec_that_their_names_say() -> None:
    source = MemorySource({"app.yaml": "a: 1", "service.timeout": b"5", "config.d/port": "9"})
    source.put("service.timeout", "7", format="")
    assert await read(source) == (
        KeyValue(key="app.yaml", value=b"a: 1", format="yaml"),
        KeyValue(key="service.timeout", value=b"7"),
        KeyValue(key="config.d/port", value=b"9"),
    )


async def test_key_without_an_end_is_an_entry() -> None:
    assert await read(MemorySource({"PORT": "80"})) == (KeyValue(key="PORT", value=b"80"),)


async def test_change_reaches_whoever_waits() -> None:
    source = MemorySource({"app.yaml": "a: 1"})
    watcher = await source.watch()
    token = (await watcher.read()).token
    waiting = asyncio.create_task(watcher.changed(token))
    await FakeClock().settle()
    assert not waiting.done()
    source.put("app.yaml", "a: 2")
    changed = await waiting
    assert changed is not None
    assert [each.value for each in changed.value] == [b"a: 2"]


async def test_document_that_was_removed_is_gone() -> None:
    source = MemorySource({"app.yaml": "a: 1"})
    source.remove("app.yaml")
    assert await read(source) == ()


def test_what_is_not_there_cannot_be_removed() -> None:
    with pytest.raises(KeyError):
        MemorySource().remove("app.yaml")


async def test_failure_is_what_readers_and_those_who_wait_get() -> None:
    source = MemorySource()
    watcher = await source.watch()
    waiting = asyncio.create_task(watcher.changed((await watcher.read()).token))
    await FakeClock().settle()
    source.fail(ConnectionError("away"))
    for failing in (waiting, watcher.read(), source.watch()):
        with pytest.raises(ConnectionError, match="away"):
            await failing
    source.fail(None)
    assert await read(source) == ()


async def test_closed_watcher_ends_its_wait() -> None:
    watcher = await MemorySource().watch()
    waiting = asyncio.create_task(watcher.changed((await watcher.read()).token))
    await FakeClock().settle()
    await watcher.aclose()
    with pytest.raises(ConfigError, match="is closed"):
        await waiting


async def test_feed_follows_it() -> None:
    source, seen, moved = MemorySource(), list[Sequence[KeyValue]](), asyncio.Event()

    def see(values: Sequence[KeyValue]) -> None:
        seen.append(values)
        moved.set()

    feed: Feed[Sequence[KeyValue]] = Feed(source.watch, name="config")
    feed.subscribe(see)
    await moved.wait()
    moved.clear()
    source.put("PORT", "80")
    await moved.wait()
    await feed.aclose()
    assert [[each.key for each in values] for values in seen] == [[], ["PORT"]]


def test_tree_in_place_of_a_document_is_refused() -> None:
    tree: Any = {"a": 1}
    with pytest.raises(TypeError, match=r"app\.yaml: a document is text or bytes, not dict"):
        MemorySource({"app.yaml": tree})
