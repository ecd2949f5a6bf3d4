from __future__ import annotations

import asyncio
import socket
import threading
import time
from importlib import import_module
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.consts import DEFAULT_OPTIONS

from kratos import App
from kratos.errors import ConfigError
from kratos.testing.app import FakeServer, running
from kratos.testing.leaks import LeakCheck
from kratos.testing.log import MemoryLogger
from kratos_sentry import Sentry, client, redacted

DSN = "http://a-public-key@127.0.0.1:9/1"


async def test_application_names_its_release(transport: Any) -> None:
    app = App(
        name="shop",
        version="1.2.0",
        servers=[FakeServer()],
        resources=[Sentry(DSN, transport=transport)],
    )
    async with running(app):
        sentry_sdk.capture_message("hello")
    assert transport.event["release"] == "shop@1.2.0"
    assert not sentry_sdk.get_client().is_active()


async def test_events_of_the_whole_process_have_no_secrets(transport: Any) -> None:
    async with Sentry(DSN, transport=transport, release="r1"):
        password = "hunter2"
        try:
            raise LookupError(f"redis://u:{password}@host refused")
        except LookupError as error:
            sentry_sdk.capture_exception(error)
    event = transport.event
    (exception,) = event["exception"]["values"]
    assert exception["value"] == "redis://u:***@host refused"
    assert all(not frame.get("vars") for frame in exception["stacktrace"]["frames"])
    assert event["release"] == "r1"


async def test_function_of_the_program_sees_events_before_they_are_sent(transport: Any) -> None:
    def before(event: Any, hint: Any) -> Any:
        return None if event["message"] == "unwanted" else {**event, "message": "changed"}

    async with Sentry(DSN, transport=transport, before_send=before):
        sentry_sdk.capture_message("unwanted")
        sentry_sdk.capture_message("wanted")
    assert transport.event["message"] == "changed"


@pytest.mark.skipif("enable_logs" not in DEFAULT_OPTIONS, reason="earlier versions have no logs")
@pytest.mark.parametrize("own", [None, "before_send_log", "_experiments"])
async def test_logs_have_no_secrets(transport: Any, own: str | None) -> None:
    seen: list[Any] = []

    def before(log: Any, _hint: Any) -> Any:
        seen.append(log["body"])
        return log

    options: dict[str, Any] = {}
    if own is not None:
        options[own] = before if own == "before_send_log" else {"before_send_log": before}
    async with Sentry(DSN, transport=transport, enable_logs=True, **options):
        logger: Any = import_module("sentry_sdk.logger")  # earlier versions have none
        logger.error("token=hunter2", attributes={"password": "hunter2", "size": 3})
    shown = str(transport.logs)
    assert "token=***" in shown
    assert "hunter2" not in shown
    assert seen == ([] if own is None else ["token=***"])


async def test_without_a_dsn_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    async with Sentry():
        sentry_sdk.capture_message("hello")
        assert sentry_sdk.get_client().transport is None


@pytest.mark.parametrize("dsn", ["hunter2", "http://hunter2@", "ftp://hunter2@host/1"])
async def test_dsn_that_is_none_is_refused_without_showing_it(dsn: str) -> None:
    with pytest.raises(ConfigError, match="DSN") as refused:
        async with Sentry(dsn):
            pass
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("timeout", [0, -1, "2", float("inf")])
def test_time_to_flush_is_positive(timeout: Any) -> None:
    with pytest.raises(ConfigError, match="flush_timeout"):
        Sentry(DSN, flush_timeout=timeout)


async def test_sentry_that_does_not_answer_keeps_nobody_from_stopping() -> None:
    """A server that accepts and says nothing holds the thread of sentry_sdk for long."""
    log = MemoryLogger()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        check = LeakCheck()
        began = time.monotonic()
        async with Sentry(f"http://key@127.0.0.1:{port}/1", flush_timeout=0.3, log=log):
            sentry_sdk.capture_message("hello")
        assert time.monotonic() - began < 15
        assert log.messages() == ["Sentry did not take all events in time"]
        silent.accept()[0].close()
    assert [each for each in check.left() if "task" in each] == []


async def test_events_that_are_lost_are_told_once_in_a_while() -> None:
    log = MemoryLogger()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        async with Sentry(f"http://key@127.0.0.1:{port}/1", flush_timeout=10, log=log):
            for _ in range(3):
                sentry_sdk.capture_message("hello")
    told = [record for record in log.records if "lost" in record[1]]
    assert [(message, dict(fields)) for _, message, fields in told] == [
        ("Sentry does not take events, they are lost", {"events": 1, "reason": "network"})
    ]


async def test_nothing_is_left_of_an_entry_that_is_cancelled(
    transport: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def warm_up() -> None:
        loop.call_soon_threadsafe(began.set)
        go_on.wait()

    monkeypatch.setattr(client, "_warm_up", warm_up)
    entering = asyncio.create_task(Sentry(DSN, transport=transport).__aenter__())
    await began.wait()
    entering.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert not sentry_sdk.get_client().is_active()
    finally:
        go_on.set()


async def test_client_is_gone_though_the_exit_is_cancelled(transport: Any) -> None:
    transport.takes = 0.2
    sentry = await Sentry(DSN, transport=transport).__aenter__()
    leaving = asyncio.create_task(sentry.__aexit__(None, None, None))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert not sentry_sdk.get_client().is_active()


async def test_stop_goes_on_in_the_loop_meanwhile(transport: Any) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with Sentry(DSN, transport=transport):
        transport.takes = 0.05
        ticks = 0
    ticking.cancel()
    assert ticks > 10


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        ({"message": "token=hunter2"}, {"message": "token=***"}),
        (
            {"logentry": {"message": "a", "params": ["redis://u:p@h"]}},
            {"logentry": {"message": "a", "params": ["redis://u:***@h"]}},
        ),
        (
            {"extra": {"sys.argv": ["x", "--password=p"]}},
            {"extra": {"sys.argv": ["x", "--password=***"]}},
        ),
        (
            {"breadcrumbs": [{"message": "pwd=p", "type": "log"}]},
            {"breadcrumbs": [{"message": "pwd=***", "type": "log"}]},
        ),
        ({"exception": None, "breadcrumbs": None}, {"exception": None, "breadcrumbs": None}),
        (
            {"transaction": "/a?token=p", "spans": [{"tags": {"password": "p"}, "op": "x"}]},
            {"transaction": "/a?token=***", "spans": [{"tags": {"password": "***"}, "op": "x"}]},
        ),
        (
            {"spans": [{"description": "GET http://u:p@h", "data": {"http.query": "token=p"}}]},
            {"spans": [{"description": "GET http://u:***@h", "data": {"http.query": "token=***"}}]},
        ),
        (
            {"request": {"cookies": {"a": "p"}, "query_string": "token=p&b=1"}},
            {"request": {"cookies": {"a": "***"}, "query_string": "token=***&b=1"}},
        ),
    ],
)
def test_secrets_are_hidden_in_each_part_of_an_event(event: Any, shown: Any) -> None:
    assert redacted(event) == shown
