"""A change of the configuration for several services at once, and one that is refused."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from kratos import App
from kratos.config import Config, Prepared, Snapshot
from kratos.config.scan import scan
from kratos.errors import ConfigError
from kratos.testing import FakeServer, MemoryMeter
from kratos.testing.echo import ECHO, EchoService, text
from kratos.testing.topology import Topology
from kratos.testing.virtual_time import in_virtual_time

GOOD = "greeting: hello\nlimit: 10\n"
BAD = "greeting: bonjour\nlimit: ten\n"
BETTER = "greeting: hi\nlimit: 20\n"


@dataclass
class Settings:
    greeting: str
    limit: int


class Greeter(EchoService):
    """Answers with the greeting of the configuration in force."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    async def _answer(self, request: StringValue) -> StringValue:
        return text(f"{self.config.scan(Settings).greeting} {request.value}")


class Fleet:
    """Services with a configuration each, of one source."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.configs: list[Config] = []
        self.meters: list[MemoryMeter] = []

    def build(self) -> App:
        meter = MemoryMeter()
        config = Config(
            self.topology.config,
            validators=[lambda snapshot: scan(snapshot, Settings)],
            meter=meter,
        )
        self.configs.append(config)
        self.meters.append(meter)
        return App(
            name="greeter",
            services=[Greeter(config)],
            servers=[FakeServer(endpoint="http://x:1")],
            resources=[config],
        )

    def changes(self, result: str) -> list[float]:
        return [meter.value("config_reload_total", result=result) for meter in self.meters]


@asynccontextmanager
async def fleet() -> AsyncGenerator[Fleet]:
    async with Topology(config={"app.yaml": GOOD}) as t:
        made = Fleet(t)
        await t.start(made.build, replicas=3)
        yield made
        t.calls.assert_none_failed()


async def greetings(f: Fleet) -> set[str]:
    caller = await f.topology.connect("greeter")
    return {(await caller.unary(ECHO, text("you"))).value for _ in range(6)}


@in_virtual_time
async def test_change_reaches_every_replica() -> None:
    async with fleet() as f:
        assert await greetings(f) == {"hello you"}
        f.topology.config.put("app.yaml", BETTER)
        await f.topology.pass_time(0.1)
        assert await greetings(f) == {"hi you"}
        assert f.changes("applied") == [1, 1, 1]


@in_virtual_time
async def test_invalid_value_leaves_the_old_snapshot_and_a_later_good_one_applies(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with fleet() as f:
        before = [config.snapshot for config in f.configs]
        f.topology.config.put("app.yaml", BAD)
        await f.topology.pass_time(600)
        assert await greetings(f) == {"hello you"}
        assert [config.snapshot for config in f.configs] == before
        assert all("limit" in str(config.last_error) for config in f.configs)
        errors = [each for each in caplog.records if each.levelno >= logging.ERROR]
        assert [each.name for each in errors] == ["kratos.config"] * 3  # one for each replica
        assert f.changes("refused") == [1, 1, 1]

        f.topology.config.put("app.yaml", BETTER)
        await f.topology.pass_time(0.1)
        assert await greetings(f) == {"hi you"}
        assert [config.last_error for config in f.configs] == [None, None, None]
        assert f.changes("applied") == [1, 1, 1]


@in_virtual_time
async def test_replica_that_refuses_keeps_its_own_and_stops_no_other() -> None:
    class Refusing:
        async def prepare(self, _old: Snapshot, new: Snapshot, /) -> Prepared:
            raise ConfigError(f"no room for {scan(new, Settings).limit}")

    async with fleet() as f:
        f.configs[0].join(Refusing())
        f.topology.config.put("app.yaml", BETTER)
        await f.topology.pass_time(0.1)
        assert await greetings(f) == {"hello you", "hi you"}
        assert f.changes("refused") == [1, 0, 0]
        assert f.changes("applied") == [0, 1, 1]


@in_virtual_time
async def test_source_that_is_away_leaves_what_it_said_in_force() -> None:
    async with fleet() as f:
        f.topology.config.fail(ConnectionError("no route to the source"))
        await f.topology.pass_time(600)
        assert await greetings(f) == {"hello you"}
        assert all(config.stale for config in f.configs)
        f.topology.config.fail(None)
        f.topology.config.put("app.yaml", BETTER)
        await f.topology.pass_time(31)  # the largest back-off
        assert await greetings(f) == {"hi you"}
        assert not any(config.stale for config in f.configs)
