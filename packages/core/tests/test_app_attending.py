"""Servers for whoever looks after the application: up before everything, and longest."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from kratos import App
from kratos.errors import ConfigError, StartupError
from kratos.testing.app import FakeServer, running
from kratos.testing.echo import EchoService


class Attendant(FakeServer):
    attends = True


@asynccontextmanager
async def resource(journal: list[str]) -> AsyncGenerator[None]:
    journal.append("resource enter")
    yield
    journal.append("resource exit")


def steps(journal: list[str], *wanted: str) -> list[str]:
    return [step for step in journal if step.rpartition(" ")[2] in wanted]


async def test_it_starts_first_and_stops_last() -> None:
    journal: list[str] = []
    app = App(
        servers=[FakeServer("api", journal=journal), Attendant("probes", journal=journal)],
        resources=[resource(journal)],
    )
    async with running(app):
        pass
    assert steps(journal, "start", "enter", "exit", "end") == [
        "probes start",
        "resource enter",
        "api start",
        "api end",
        "resource exit",
        "probes end",
    ]


async def test_it_serves_no_services_and_publishes_nothing() -> None:
    api = FakeServer("api", endpoint="http://127.0.0.1:1")
    probes = Attendant("probes", endpoint="http://127.0.0.1:2")
    app = App(servers=[probes, api], services=[EchoService()])
    async with running(app):
        assert app.endpoints == ("http://127.0.0.1:1",)
    assert [len(server.mounts[0].services) for server in (probes, api)] == [0, 1]
    assert probes.mounts[0].health is app.health


async def test_it_may_be_a_server_of_the_host() -> None:
    probes = Attendant("probes")
    async with running(App(host_servers=[probes])):
        assert steps(probes.journal, "start") == ["probes start"]


async def test_it_cannot_stand_in_for_a_server_of_services() -> None:
    with pytest.raises(ConfigError, match="nothing can serve"):
        App(servers=[Attendant("probes")], services=[EchoService()])


async def test_failing_start_of_it_is_that_of_the_application() -> None:
    journal: list[str] = []
    probes = Attendant("probes", journal=journal)
    probes.failures["bind"] = StartupError("the address is in use")
    app = App(servers=[probes, FakeServer("api", journal=journal)])
    with pytest.raises(StartupError, match="in use"):
        await app.run()
    assert steps(journal, "start") == []


async def test_it_stops_when_the_start_of_others_fails() -> None:
    journal: list[str] = []
    api, probes = FakeServer("api", journal=journal), Attendant("probes", journal=journal)
    api.failures["bind"] = StartupError("the address is in use")
    with pytest.raises(StartupError, match="in use"):
        await App(servers=[api, probes]).run()
    assert steps(journal, "end") == ["probes end"]


async def test_its_end_ends_the_application() -> None:
    probes = Attendant("probes")
    app = App(servers=[probes])
    async with running(app):
        probes.end()
