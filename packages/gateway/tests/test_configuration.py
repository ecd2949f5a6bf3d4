"""A change of texts is applied once; what is wrong with them changes nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from kratos.config import MemorySource
from kratos.errors import ConfigError
from kratos.testing import FakeClock, LeakCheck
from kratos_gateway.api.gateway_pb2 import Gateway
from kratos_gateway.config import (
    Configuration,
    Document,
    Documents,
    FileReader,
    SourceReader,
)


class Texts:
    """Texts in memory, which only a look can find changed."""

    def __init__(self, main: str) -> None:
        self.main = main
        self.priorities: dict[str, str] = {}
        self.reads = 0

    async def read(self) -> Documents:
        self.reads += 1
        found = [Document(name=name, content=text.encode()) for name, text in self._sorted()]
        main = Document(name="config.yaml", content=self.main.encode())
        return Documents(main=main, priorities=found)

    async def changed(self) -> None:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Nothing is held."""

    def _sorted(self) -> list[tuple[str, str]]:
        return sorted(self.priorities.items())


class Applied:
    """What was applied, and what is to be refused."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.newest = Gateway()
        self.refuses = False

    async def __call__(self, gateway: Gateway) -> None:
        self.names.append(gateway.name)
        if self.refuses:
            raise ConfigError("no such middleware")
        self.newest = gateway


class Followed:
    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.clock = FakeClock()
        self.applied = Applied()
        self.configuration = Configuration(texts, clock=self.clock, environ={})

    async def look(self) -> list[str]:
        """Let the next look happen; return all names that were applied so far."""
        await self.clock.advance(5.0)
        return self.applied.names


@pytest.fixture
async def followed() -> AsyncIterator[Followed]:
    made = Followed(Texts("name: first"))
    assert (await made.configuration.begin()).name == "first"
    task = asyncio.create_task(made.configuration.follow(made.applied))
    yield made
    task.cancel()
    await asyncio.wait([task])


class Environment(dict[str, str]):
    """Variables that know which thread has asked for them."""

    def __init__(self) -> None:
        super().__init__(NAME="shop")
        self.threads: list[threading.Thread] = []

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.threads.append(threading.current_thread())
        return super().get(key, default)


@pytest.mark.parametrize(
    ("besides", "own"), [("", False), ("version: &a 'x'", True), (f"# {'x' * 70_000}", True)]
)
async def test_requests_are_served_while_what_takes_long_is_read(besides: str, own: bool) -> None:
    environ = Environment()
    configuration = Configuration(Texts(f"name: ${{NAME}}\n{besides}"), environ=environ)
    assert (await configuration.load()).name == "shop"
    (thread,) = environ.threads
    assert (thread is not threading.main_thread()) == own


async def test_what_was_there_at_first_is_not_applied_again(followed: Followed) -> None:
    assert await followed.look() == []
    assert followed.texts.reads == 2


async def test_what_is_written_is_pending_until_it_is_in_force(followed: Followed) -> None:
    assert await followed.configuration.pending() is None
    followed.texts.main = "name: second"
    pending = await followed.configuration.pending()
    assert pending is not None
    assert pending.name == "second"
    assert await followed.look() == ["second"]
    assert await followed.configuration.pending() is None


async def test_a_change_is_applied_once(followed: Followed) -> None:
    followed.texts.main = "name: second"
    assert await followed.look() == ["second"]
    assert await followed.look() == ["second"]


async def test_a_text_that_cannot_be_read_changes_nothing_and_is_told_once(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.texts.main = "name: [second"
    await followed.look()
    assert await followed.look() == []
    (record,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.message.startswith("the configuration stays as it was: config.yaml: line ")
    followed.texts.main = "name: third"
    assert await followed.look() == ["third"]


async def test_an_empty_file_changes_nothing(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.texts.main = ""
    assert await followed.look() == []
    assert "config.yaml: it is empty" in caplog.text
    followed.texts.main = "{}"
    assert await followed.look() == [""]


async def test_an_empty_priority_configuration_stays_as_it_was(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.texts.priorities["p.yaml"] = "endpoints: [{path: /p}]"
    await followed.look()
    followed.texts.priorities["p.yaml"] = "# nothing yet"
    await followed.look()
    assert [each.path for each in followed.applied.newest.endpoints] == ["/p"]
    assert "what it said before stays: p.yaml: it is empty" in caplog.text


async def test_a_key_that_nothing_reads_is_told(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.texts.main = "name: second\nendpoint: []"
    assert await followed.look() == ["second"]
    assert "config.yaml: endpoint: Gateway has no such key" in caplog.text
    assert "did you mean 'endpoints'?" in caplog.text


async def test_a_key_of_a_priority_configuration_that_nothing_reads_is_told(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.texts.priorities["p.yaml"] = "endpoints: [{path: /p, timeouts: 1s}]"
    await followed.look()
    assert "p.yaml: endpoints[0].timeouts: Endpoint has no such key" in caplog.text
    assert "did you mean 'timeout'?" in caplog.text


async def test_an_expression_that_may_be_slow_is_told(
    followed: Followed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    followed.texts.main = "name: second\nendpoints: [{path: '/{x:(?:a+)+}'}]"
    assert await followed.look() == ["second"]
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert record.message.startswith("config.yaml: endpoints[0].path: its time doubles")


async def test_a_key_of_several_lines_forges_no_line_of_the_log(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.texts.main = '{"name": "second", "odd\\nFORGED": 1}'
    assert await followed.look() == ["second"]
    assert not [each for each in caplog.messages if "\n" in each]


async def test_a_configuration_that_is_refused_is_tried_again(followed: Followed) -> None:
    followed.applied.refuses = True
    followed.texts.main = "name: second"
    assert await followed.look() == ["second"]
    followed.applied.refuses = False
    assert await followed.look() == ["second", "second"]
    assert await followed.look() == ["second", "second"]


async def test_texts_that_are_refused_are_not_read_again_and_their_oddities_told_once(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.applied.refuses = True
    followed.texts.main = "name: second\nodd: 1"
    for _ in range(3):
        await followed.look()
    assert followed.applied.names == ["second"] * 3
    assert caplog.text.count("Gateway has no such key") == 1


async def test_going_back_to_what_is_in_force_applies_nothing(followed: Followed) -> None:
    followed.applied.refuses = True
    followed.texts.main = "name: second"
    await followed.look()
    followed.texts.main = "name: first"
    assert await followed.look() == ["second"]


async def test_priority_configurations_that_come_and_go_are_applied(followed: Followed) -> None:
    followed.texts.priorities = {"a.yaml": "endpoints: [{path: /a}]"}
    await followed.look()
    assert [each.path for each in followed.applied.newest.endpoints] == ["/a"]
    followed.texts.priorities = {}
    await followed.look()
    assert not followed.applied.newest.endpoints


async def test_a_priority_configuration_that_breaks_stays_as_it_was(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.texts.priorities = {"a.yaml": "endpoints: [{path: /a}]"}
    await followed.look()
    followed.texts.priorities = {"a.yaml": "endpoints: [", "b.yaml": "- x"}
    followed.texts.main = "name: second"
    await followed.look()
    assert followed.applied.newest.name == "second"
    assert [each.path for each in followed.applied.newest.endpoints] == ["/a"]
    warnings = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert "what it said before stays: a.yaml: line" in warnings[0]
    assert "it is left out: b.yaml: it is a list" in warnings[1]


async def test_a_poke_makes_it_look_at_once(followed: Followed) -> None:
    followed.texts.main = "name: second"
    followed.configuration.poke()
    await followed.clock.settle()
    assert followed.applied.names == ["second"]


async def test_a_look_for_others_leaves_what_is_in_force(followed: Followed) -> None:
    followed.texts.main = "name: second"
    assert (await followed.configuration.load()).name == "second"
    assert await followed.look() == ["second"]


async def test_a_look_for_others_leaves_the_priorities_in_force(followed: Followed) -> None:
    followed.texts.priorities = {"a.yaml": "endpoints: [{path: /a}]"}
    await followed.look()
    followed.texts.priorities = {"a.yaml": "endpoints: [{path: /b}]"}
    assert [each.path for each in (await followed.configuration.load()).endpoints] == ["/b"]
    followed.texts.priorities = {"a.yaml": "endpoints: ["}
    followed.texts.main = "name: second"
    await followed.look()
    assert [each.path for each in followed.applied.newest.endpoints] == ["/a"]


async def test_digests_are_shown_under_the_names_of_go(followed: Followed) -> None:
    shown = followed.configuration.inspect()
    digest = Document(name="", content=b"name: first").digest
    assert len(digest) == 64
    assert shown["confSha256"] == digest
    assert shown["priorityConfigHash"] == {}


def _written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


async def test_files_are_the_main_one_and_those_of_the_folder_by_name(tmp_path: Path) -> None:
    files = {
        "main.yaml": "name: main",
        "prior/b.yaml": "endpoints: [{path: /b}]",
        "prior/a.yaml": "endpoints: [{path: /a}]",
        "prior/c.yml": "endpoints: [{path: /never}]",
        "prior/d.yaml.tmp": "endpoints: [{path: /never}]",
        "prior/inner/e.yaml": "endpoints: [{path: /never}]",
    }
    for each in ("prior", "prior/inner"):
        (tmp_path / each).mkdir()
    folder = _written(tmp_path, files)
    reader = FileReader(folder / "main.yaml", priorities=folder / "prior")
    found = await Configuration(reader, environ={}).load()
    assert found.name == "main"
    assert [each.path for each in found.endpoints] == ["/b", "/a"]


async def test_a_folder_for_priorities_is_made(tmp_path: Path) -> None:
    _written(tmp_path, {"main.yaml": "name: main"})
    reader = FileReader(tmp_path / "main.yaml", priorities=tmp_path / "prior")
    await Configuration(reader).load()
    assert (tmp_path / "prior").is_dir()


async def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: it cannot be read: No such file"):
        await Configuration(FileReader(tmp_path / "none.yaml")).begin()


async def test_a_file_that_changes_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "main.yaml"
    path.write_text("name: first", encoding="utf-8")
    configuration = Configuration(FileReader(path), interval=0.01)
    assert await followed_name(configuration, path) == "second"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of files")
@pytest.mark.parametrize("linked", [False, True])
async def test_a_file_that_changes_is_heard_of_at_once(tmp_path: Path, linked: bool) -> None:
    path = tmp_path / "main.yaml"
    written = tmp_path / "elsewhere" / "data.yaml" if linked else path
    written.parent.mkdir(exist_ok=True)
    written.write_text("name: first", encoding="utf-8")
    if linked:
        path.symlink_to(written)
    configuration = Configuration(FileReader(path), interval=3600.0)
    assert await followed_name(configuration, written) == "second"


async def followed_name(configuration: Configuration, written: Path) -> str:
    """Change a file, and return the name that is applied then."""
    check = LeakCheck()
    await configuration.begin()
    names: asyncio.Queue[str] = asyncio.Queue()

    async def apply(gateway: Gateway) -> None:
        names.put_nowait(gateway.name)

    task = asyncio.create_task(configuration.follow(apply))
    beside = written.with_suffix(".tmp")
    beside.write_text("name: second", encoding="utf-8")
    beside.replace(written)
    async with asyncio.timeout(10):
        name = await names.get()
    task.cancel()
    await asyncio.wait([task])
    await configuration.aclose()
    await check.nothing_left()
    return name


async def test_a_large_configuration_is_read(tmp_path: Path) -> None:
    lines = "".join(f"  - path: /{number:05}\n" for number in range(5000))
    path = tmp_path / "main.yaml"
    path.write_text(f"endpoints:\n{lines}", encoding="utf-8")
    assert len((await Configuration(FileReader(path)).load()).endpoints) == 5000


async def test_a_source_of_kratos_is_followed_at_once() -> None:
    source = MemorySource({"gateway.yaml": "name: first"})
    configuration = Configuration(SourceReader(source), environ={})
    assert (await configuration.begin()).name == "first"
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def apply(gateway: Gateway) -> None:
        seen.put_nowait(",".join([gateway.name, *(each.path for each in gateway.endpoints)]))

    task = asyncio.create_task(configuration.follow(apply))
    source.put("gateway.yaml", "name: second")
    async with asyncio.timeout(10):
        assert await seen.get() == "second"
    task.cancel()
    await asyncio.wait([task])
    await configuration.aclose()


async def test_documents_of_a_source_are_chosen_by_their_keys() -> None:
    source = MemorySource(
        {
            "gw/main.yaml": "name: main",
            "gw/other.yaml": "name: other",
            "gw/prior/b.yaml": "endpoints: [{path: /b}]",
            "gw/prior/a.yaml": "endpoints: [{path: /a}]",
        }
    )
    reader = SourceReader(source, key="gw/main.yaml", priorities="gw/prior/")
    found = await Configuration(reader).load()
    assert found.name == "main"
    assert [each.path for each in found.endpoints] == ["/b", "/a"]
    await reader.aclose()


async def test_a_source_without_the_one_document_says_what_it_has() -> None:
    reader = SourceReader(MemorySource({"a.yaml": "", "b.yaml": ""}, name="store"))
    with pytest.raises(ConfigError, match=r"one document is expected, and there is: a\.yaml"):
        await reader.read()
    await reader.aclose()


async def test_a_source_that_is_away_says_why() -> None:
    source = MemorySource({"a.yaml": ""}, name="store")
    source.fail(ConnectionError("refused"))
    reader = SourceReader(source, timeout=0.05)
    with pytest.raises(ConfigError, match=r"store: it says nothing: .*refused"):
        await reader.read()
    await reader.aclose()
