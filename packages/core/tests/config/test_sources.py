from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import Any

import pytest

from kratos.config import ArgumentsSource, EnvSource, MemorySource, Source, format_of
from kratos.config._layer import read as read_entries
from kratos.config.config import read
from kratos.errors import ConfigError


async def tree_of(source: Source) -> object:
    layers = read_entries(str(source), await read(source), {})
    return layers[0].tree if layers else {}


@pytest.mark.parametrize(
    ("prefixes", "environ", "expected"),
    [
        ((), {"A": "1", "b.c": "2"}, {"A": "1", "b": {"c": "2"}}),
        (("",), {"__A": "1"}, {"_A": "1"}),
        (("_",), {"__A": "1"}, {"A": "1"}),
        (
            ("KRATOS_", "FOO"),
            {"KRATOS_ADDR": "1", "FOO_AGE": "2", "FOO": "3", "FOOADDR": "4", "BAR": "5"},
            {"ADDR": "4", "AGE": "2"},
        ),
        (("KRATOS_",), {"KRATOS_": "1", "KRATOS__": "2"}, {}),
    ],
)
async def test_variables_are_chosen_and_named_as_in_go(
    prefixes: tuple[str, ...], environ: dict[str, str], expected: object
) -> None:
    assert await tree_of(EnvSource(*prefixes, environ=environ)) == expected


async def test_variables_nest_by_a_separator_of_their_own() -> None:
    environ = {"APP_SERVER__HTTP__PORT": "80", "APP_NAME": "x"}
    source = EnvSource("APP_", nested="__", environ=environ)
    assert await tree_of(source) == {"server": {"http": {"port": "80"}}, "name": "x"}


async def test_variables_of_the_process_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRATOS_ONLY_HERE_A", "1")
    assert await tree_of(EnvSource("KRATOS_ONLY_HERE_")) == {"A": "1"}


async def test_bytes_of_a_stranger_do_not_end_the_start() -> None:
    assert await tree_of(EnvSource(environ={"A": "\udcff"})) == {"A": "?"}


async def test_overrides_nest_and_the_last_wins() -> None:
    source = ArgumentsSource(["server.port=1", "server.port=2", "url=http://a/?b=c", "empty="])
    expected = {"server": {"port": "2"}, "url": "http://a/?b=c", "empty": ""}
    assert await tree_of(source) == expected


@pytest.mark.parametrize("text", ["server.port", "=1", "a..b=1", ".a=1", ""])
def test_override_that_sets_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write dotted\.key=value"):
        ArgumentsSource([text])


def test_refused_override_is_not_shown_as_it_may_be_a_secret() -> None:
    with pytest.raises(ConfigError) as caught:
        ArgumentsSource(["hunter2"])
    assert "hunter2" not in str(caught.value)


async def test_memory_tells_its_watchers_of_a_new_tree() -> None:
    source = MemorySource.of({"a": 1})
    watcher = await source.watch()
    state = await watcher.read()
    waiting = asyncio.create_task(watcher.changed(state.token))
    await asyncio.sleep(0)
    assert not waiting.done()
    source.set({"a": 2})
    new = await waiting
    assert new is not None
    assert new.value[0].value == b'{"a": 2}'


@pytest.mark.parametrize("source", [EnvSource(environ={}), ArgumentsSource([])])
async def test_closing_ends_a_pending_wait(source: Source) -> None:
    watcher = await source.watch()
    state = await watcher.read()
    waiting = asyncio.create_task(watcher.changed(state.token))
    await asyncio.sleep(0)
    await watcher.aclose()
    await watcher.aclose()
    assert await waiting is None


async def test_memory_takes_documents_and_read_only_mappings() -> None:
    source = MemorySource.of(MappingProxyType({"a": MappingProxyType({"b": [1]})}))
    assert await tree_of(source) == {"a": {"b": [1]}}
    source.put("x.yaml", "c: 3")
    source.remove("")
    assert await tree_of(source) == {"c": 3}


@pytest.mark.parametrize(
    ("tree", "error"), [({"a": {1, 2}}, TypeError), ({"a": float("nan")}, ValueError)]
)
def test_memory_refuses_what_no_document_could_hold(
    tree: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        MemorySource.of(tree)


def test_list_in_place_of_prefixes_is_refused() -> None:
    prefixes: Any = ["APP_"]
    with pytest.raises(ConfigError, match=r"prefixes are texts: .* not \['APP_'\]"):
        EnvSource(prefixes)


def test_one_text_in_place_of_overrides_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a list of texts"):
        ArgumentsSource("server.port=1")


def test_override_that_sets_nothing_is_told_by_its_number() -> None:
    with pytest.raises(ConfigError, match=r"override 2 sets nothing: it has no '='"):
        ArgumentsSource(["a=1", "hunter2"])


@pytest.mark.parametrize(
    ("key", "format_"),
    [
        ("/config/app.yaml", "yaml"),
        ("app.prod.json", "json"),
        ("/config/port", ""),
        ("/config.d/port", ""),
        ("/config/.env", "env"),
        ("/config/app.", ""),
        ("", ""),
    ],
)
def test_format_is_the_ending_of_a_key(key: str, format_: str) -> None:
    assert format_of(key) == format_
