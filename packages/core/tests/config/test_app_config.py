"""The configuration as a part of an application."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from kratos.app import App
from kratos.config import Config, MemorySource
from kratos.errors import ConfigError
from kratos.health import Kind
from kratos.metrics import MemoryMeter
from kratos.testing.app import FakeServer, running
from kratos.testing.clock import FakeClock


async def test_configuration_is_there_before_anything_starts_and_after_all_has_ended() -> None:
    seen: list[object] = []

    class Resource:
        async def __aenter__(self) -> None:
            seen.append(config.snapshot["a"])

        async def __aexit__(self, *_: object) -> None:
            seen.append(config.snapshot["a"])

    def note(app: App) -> None:
        seen.append(app.config.snapshot["a"])

    config = Config(MemorySource.of({"a": 1}))
    options: dict[str, Any] = {"before_start": [note], "after_stop": [note]}
    async with running(App(config=config, resources=[Resource()], **options)):
        assert seen == [1, 1]
    assert seen == [1, 1, 1, 1]
    with pytest.raises(RuntimeError, match="closed"):
        await config.load()


async def test_start_fails_with_the_reason_for_which_the_configuration_cannot_be_loaded() -> None:
    server = FakeServer()
    app = App(config=Config(MemorySource({"app.yaml": "a: ["})), servers=[server])
    with pytest.raises(ConfigError, match=r"memory: app\.yaml: line 2, column 1"):
        await app.run()
    assert server.journal == []


async def test_refused_change_is_shown_and_leaves_the_application_ready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, meter = FakeClock(), MemoryMeter()
    source = MemorySource({"app.yaml": "a: 1"})
    config = Config(source, clock=clock)
    async with running(App(config=config, metrics=meter)) as app:
        assert meter.value("config_last_success_timestamp_seconds") == clock.wall()
        source.put("app.yaml", "a: [")
        await clock.settle()
        report = await app.health.report(Kind.READY)
        assert report.ok
        (result,) = report.results
        assert (result.name, result.ok) == ("config", False)
        assert "the newest change is refused: ConfigError: memory: app.yaml" in result.message
        assert meter.value("config_reload_total", result="refused") == 1
        (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert line.name == "kratos.config"
        source.put("app.yaml", "a: 2")
        await clock.settle()
        (result,) = (await app.health.report(Kind.READY)).results
        assert result.ok
        assert meter.value("config_reload_total", result="applied") == 1


async def test_meter_of_the_configuration_goes_before_that_of_the_application() -> None:
    own, other = MemoryMeter(), MemoryMeter()
    config = Config(MemorySource.of({"a": 1}), meter=own)
    async with running(App(config=config, metrics=other)):
        assert "config_reload_total" not in await other.render()
        assert "config_last_success_timestamp_seconds" in await own.render()


def test_application_without_a_configuration_says_how_to_give_one() -> None:
    with pytest.raises(RuntimeError, match=r"pass App\(config=Config\(\.\.\.\)\)"):
        _ = App().config


def test_what_is_no_configuration_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="config must be a Config, not dict") as caught:
        App(config={"password": "hunter2"})  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)
