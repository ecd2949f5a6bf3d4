"""What the tests of Go Kratos check of a whole configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from kratos.config import Config, EnvSource, FileSource, KeyValue, MemorySource, Snapshot
from kratos.errors import ConfigError
from kratos.testing.clock import FakeClock
from kratos.watch import Versioned

JSON = """{
    "server": {"http": {"addr": "0.0.0.0", "port": 80, "timeout": 0.5, "enable_ssl": true},
               "grpc": {"addr": "0.0.0.0", "port": 10080, "timeout": 0.2}},
    "data": {"database": {"driver": "mysql", "source": "root:root@/karta_id?parseTime=true"}},
    "endpoints": ["www.aaa.com", "www.bbb.org"]
}"""


class Stumbling:
    """A source whose watcher fails and says nothing before it tells of a change."""

    def __init__(self) -> None:
        self.opened = 0

    async def watch(self) -> Stumbling:
        self.opened += 1
        return self

    async def read(self) -> Versioned[Sequence[KeyValue]]:
        text = JSON if self.opened < 4 else JSON.replace('"port": 80', '"port": 81')
        return Versioned(value=(KeyValue(key="app", value=text.encode(), format="json"),), token=0)

    async def changed(self, _since: object, /) -> Versioned[Sequence[KeyValue]] | None:
        if self.opened < 4:
            raise ConnectionError("no luck today")
        await asyncio.Event().wait()
        return None

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass
class Http:
    addr: str
    port: int
    timeout: timedelta
    enable_ssl: bool = False


@dataclass
class Server:
    http: Http
    grpc: Http


@dataclass
class Settings:
    server: Server
    endpoints: list[str]


async def test_configuration_is_read_scanned_and_watched_over_errors() -> None:
    clock = FakeClock()
    source = Stumbling()
    async with Config(source, clock=clock) as config:
        assert config.snapshot.get("data.database.driver", str) == "mysql"
        assert config.snapshot.get("server.http.port", int) == 80
        half = timedelta(seconds=0.5)
        assert config.scan(Http, key="server.http") == Http("0.0.0.0", 80, half, True)
        assert config.scan(Settings).endpoints == ["www.aaa.com", "www.bbb.org"]
        heard: list[tuple[int, int]] = []

        def note(old: Snapshot, new: Snapshot) -> None:
            heard.append((old.get("server.http.port", int), new.get("server.http.port", int)))

        config.watch("server.http.port", note)
        await clock.advance(120.0)
        assert heard == [(80, 81)]
        assert not config.stale


DOCUMENTS = {
    "app.json": '{"a": {"b": {"X": 1, "Y": "lol", "z": true}}}',
    "app.yaml": "a:\n  b:\n    X: 1\n    Y: lol\n    z: true\n",
}


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_values_are_found_by_their_paths_and_odd_ones_are_not(name: str) -> None:
    async with Config(MemorySource({name: DOCUMENTS[name]})) as config:
        snapshot = config.snapshot
        assert snapshot.get("a.b.X", int) == 1
        assert snapshot.get("a.b.Y", str) == "lol"
        assert snapshot.get("a.b.z", bool) is True
        for odd in (
            "aasasdg=234l.asdfk,",
            "aas......asdasd",
            "aas,d,,,",
            "a.b.Y.",
            "a.b.Y.deeper",
            ".a.b.X",
            "",
            "A.b.X",
        ):
            assert odd not in snapshot, odd
            with pytest.raises(ConfigError):
                snapshot.get(odd, str)


@pytest.mark.parametrize(
    ("prefixes", "environ"),
    [
        (("KRATOS_", "FOO"), {"KRATOS_HOST": "127.0.0.1", "FOO_PORT": "9000"}),
        ((), {"HOST": "127.0.0.1", "PORT": "9000"}),
    ],
)
async def test_variables_fill_the_placeholders_of_a_file(
    tmp_path: Path, prefixes: tuple[str, ...], environ: dict[str, str]
) -> None:
    (tmp_path / "app.json").write_text(
        '{"host": "${HOST:none}", "port": "${PORT:80}", "name": "${NAME:kratos}", "price": "$PORT"}'
    )
    async with Config(FileSource(tmp_path), EnvSource(*prefixes, environ=environ)) as config:
        assert config.snapshot["host"] == "127.0.0.1"
        assert config.snapshot.get("port", int) == 9000
        assert config.snapshot["name"] == "kratos"
        assert config.snapshot["price"] == "$PORT"


@dataclass
class Pair:
    left: int
    right: int


async def test_threads_that_read_during_changes_see_one_state_each() -> None:
    source = MemorySource.of({"left": 0, "right": 0})
    over = threading.Event()

    def read(config: Config) -> int:
        reads = 0
        while not over.is_set() or not reads:
            pair = config.scan(Pair)
            assert pair.left == pair.right
            reads += 1
        return reads

    async with Config(source) as config:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as threads:
            readers = [loop.run_in_executor(threads, read, config) for _ in range(8)]
            for value in range(1, 81):
                source.set({"left": value, "right": value})
                await asyncio.sleep(0)
            over.set()
            assert all(await asyncio.gather(*readers))
