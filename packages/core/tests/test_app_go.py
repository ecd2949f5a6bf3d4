"""What Go Kratos' tests check of an application (``app_test.go``, ``options_test.go``), restated.

What they check besides is elsewhere: hooks, order and signals in ``test_app`` and
``test_app_process``, a run with servers of both kinds in ``tests/e2e``, instances without an id
in ``test_keeper``.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from kratos.app import App, AppInfo, app_info
from kratos.app._context import CURRENT
from kratos.errors import ConfigError
from kratos.registry import get_service
from kratos.registry.memory import MemoryRegistry
from kratos.testing import FakeServer, MemoryLogger, in_virtual_time, running

SERVERS = [FakeServer("one"), FakeServer("two")]
LOG = MemoryLogger()
REGISTRY = MemoryRegistry()


def hook(_app: App) -> None:
    """Do nothing."""


OPTIONS: dict[str, Any] = {
    "id": "123",
    "name": "xxx",
    "version": "v1",
    "metadata": {"a": "1", "b": "2"},
    "endpoints": ["https://www.google.com", "localhost"],
    "servers": SERVERS,
    "signals": (signal.SIGTERM, signal.SIGINT),
    "log": LOG,
    "registrar": REGISTRY,
    "registrar_timeout": 12.0,
    "stop_timeout": 20.0,
    "before_start": [hook],
    "after_start": [hook, hook],
    "before_stop": [hook],
    "after_stop": [hook],
}


@pytest.mark.parametrize("option", OPTIONS)
def test_option_is_what_was_given(option: str) -> None:
    given = {option: OPTIONS[option]}
    if option == "registrar":
        given["name"] = "xxx"  # a nameless service cannot be published
    assert getattr(App(**given).options, option) == OPTIONS[option]


def test_registrar_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="name must not be empty"):
        App(registrar=REGISTRY)


def test_identity_can_be_read_off() -> None:
    app = App(**{name: OPTIONS[name] for name in ("id", "name", "version", "metadata")})
    assert (app.id, app.name, app.version) == ("123", "xxx", "v1")
    assert app.metadata == {"a": "1", "b": "2"}
    assert app.endpoints == ()  # known once it runs


async def test_registry_gets_all_five_fields() -> None:
    registry = MemoryRegistry()
    names = ("id", "name", "version", "metadata", "endpoints")
    app = App(**{name: OPTIONS[name] for name in names}, registrar=registry, signals=())
    async with running(app):
        await asyncio.sleep(0)
        (found,) = await get_service(registry, "xxx")
    assert found.id == "123"
    assert found.version == "v1"
    assert found.metadata == {"a": "1", "b": "2"}
    assert found.endpoints == ("https://www.google.com", "localhost")


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (App(id="1", name="kratos-v1"), AppInfo(id="1", name="kratos-v1")),
        (
            App(id="2", name="kratos-v2", version="v2", endpoints=["https://www.google.com"]),
            AppInfo(id="2", name="kratos-v2", version="v2", endpoints=("https://www.google.com",)),
        ),
        (
            App(id="3", metadata={"a": "1"}),
            AppInfo(id="3", metadata={"a": "1"}),
        ),
    ],
    ids=["plain", "with endpoints", "without an instance"],
)
def test_who_is_running_is_known_in_the_context(app: App, expected: AppInfo) -> None:
    token = CURRENT.set(app)
    try:
        assert app_info() == expected
    finally:
        CURRENT.reset(token)
    assert app_info() is None


@in_virtual_time
async def test_cancelled_run_leaves_servers_their_time_to_stop() -> None:
    stopped: list[str] = []

    class Slow(FakeServer):
        async def stop(self) -> None:
            await asyncio.sleep(1800)  # half of stop_timeout
            stopped.append("in time")
            await super().stop()

    app = App(servers=[Slow()], stop_timeout=3600.0, signals=())
    run = asyncio.create_task(app.run())
    await app.ready()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert stopped == ["in time"]


@in_virtual_time
async def test_registrar_that_does_not_answer_ends_a_required_start_after_its_limit() -> None:
    class Silent(MemoryRegistry):
        async def register(self, _instance: object, /) -> Any:
            await asyncio.get_running_loop().create_future()

    server = FakeServer(endpoint="http://10.0.0.1:80")
    app = App(
        name="xxx",
        servers=[server],
        registrar=Silent(),
        registrar_timeout=12.0,
        require_registration=True,
        signals=(),
    )
    began = asyncio.get_running_loop().time()
    with pytest.raises(Exception, match=r"did not register.*limit 12 s"):
        await app.run()
    assert asyncio.get_running_loop().time() - began == pytest.approx(12, abs=0.1)
    assert not server.bound
