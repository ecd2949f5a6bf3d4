from __future__ import annotations

import asyncio
import logging
import re
import threading
import uuid
from typing import Any

import pytest

from kratos.app import App
from kratos.errors import ConfigError
from kratos.health import Health
from kratos.offload import Offload
from kratos.testing.app import FakeServer
from kratos.testing.echo import EchoService


class NotAServer:
    def start(self) -> None:
        raise AssertionError


def test_nothing_is_needed_to_make_one() -> None:
    app = App()
    assert (app.name, app.version, dict(app.metadata), app.endpoints) == ("", "", {}, ())
    assert app.registration is None


def test_identity_is_what_was_given() -> None:
    app = App(id="i", name="n", version="v", metadata={"k": "v"}, endpoints=["http://h:1"])
    assert (app.id, app.name, app.version, dict(app.metadata)) == ("i", "n", "v", {"k": "v"})
    assert app.endpoints == ("http://h:1",)
    assert app.info.id == "i"


def test_endpoint_without_a_scheme_stays_as_it_is() -> None:
    assert App(endpoints=["localhost"]).endpoints == ("localhost",)


def test_default_id_is_a_unique_time_based_uuid_without_the_machines_address() -> None:
    ids = [uuid.UUID(App().id) for _ in range(3)]
    assert [found.version for found in ids] == [1, 1, 1]
    assert all(found.node >> 40 & 1 for found in ids)
    assert len({found.node for found in ids}) == 3
    assert len(App().id) == 36


def test_metadata_is_a_copy() -> None:
    metadata = {"k": "v"}
    app = App(metadata=metadata)
    metadata["k"] = "changed"
    assert app.metadata["k"] == "v"


def test_own_health_and_threads_are_used() -> None:
    health, offload = Health(), Offload()
    app = App(health=health, offload=offload)
    assert (app.health, app.offload) == (health, offload)


def test_making_one_touches_nothing() -> None:
    threads = threading.active_count()
    server = FakeServer()
    App(servers=[server], registrar="nosuch://host", name="x", before_start=[lambda _: None])
    assert server.journal == []
    assert threading.active_count() == threads
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"id": ""}, "id must not be empty"),
        ({"name": 7}, "name must be text, not 7"),
        ({"metadata": {"weight": 10}}, "write 'weight': '10' as text"),
        ({"metadata": "weight=10"}, "metadata must map text to text, not 'weight=10'"),
        ({"endpoints": "http://h:1"}, "endpoints must be a list, not 'http://h:1'"),
        ({"endpoints": [""]}, "endpoints: '' is no URL"),
        ({"servers": FakeServer()}, "servers must be a list"),
        ({"servers": [NotAServer()]}, "servers[0]: .*must be an object with async start() and"),
        ({"middleware": print}, "middleware must be a list"),
        ({"resources": [object()]}, "resources[0]: .*must be an asynchronous context manager"),
        ({"servers": [FakeServer]}, "servers[0]: .*must be an object"),
        ({"servers": [FakeServer("a"), None]}, "servers[1]: None must be an object"),
        ({"services": [EchoService]}, "services[0]: .*must be an instance, not a class"),
        ({"services": [object()], "servers": [FakeServer()]}, "services[0]: .*no generated"),
        ({"log": logging.getLogger("shop")}, "write StdLogger(logger)"),
        ({"log": print}, "log: <built-in function print> has no log()"),
        ({"metrics": 3}, "metrics: 3 has no counter()"),
        ({"missing": "yes"}, "missing must be Missing.REFUSE or .*not 'yes'"),
        ({"registrar": object(), "name": "x"}, "registrar: .*has no register()"),
        ({"registrar": "memory://"}, "name must not be empty, because the registrar"),
        ({"require_registration": True}, "require_registration needs a registrar"),
        ({"registrar_timeout": 0.0}, "registrar_timeout must be a positive number of seconds"),
        ({"startup_timeout": -1.0}, "startup_timeout must be .*or None for no limit"),
        ({"stop_timeout": float("nan")}, "stop_timeout must be a positive number"),
        ({"stop_timeout": float("inf")}, "stop_timeout must be a positive number"),
        ({"check_interval": 0.0}, "check_interval must be a positive number"),
        ({"stop_timeout": "5s"}, "stop_timeout must be a positive number"),
        ({"drain_delay": "5s"}, "drain_delay must be a number of seconds"),
        ({"drain_delay": -1.0}, "drain_delay must be a number of seconds"),
        ({"before_start": print}, "before_start must be a list"),
        ({"after_stop": [None]}, "after_stop: None is no function"),
        ({"host_servers": [None]}, "host_servers[0]: None must be an object"),
        ({"workers": -1}, "workers must be a number from 0, or 'auto' for one on each core"),
        ({"workers": True}, "workers must be a number from 0"),
        ({"workers": "all"}, "workers must be .*not 'all'"),
        ({"registration": "both"}, "registration must be 'host' or 'worker', not 'both'"),
        ({"min_ready": 0}, "min_ready must be a number of workers from 1"),
        ({"registration": "worker", "endpoints": ["http://h:1"]}, "endpoints are the same for all"),
        ({"signals": [15]}, "signals: 15 is no signal; write it like signal.SIGTERM"),
    ],
)
def test_wrong_option_is_refused_by_name(options: dict[str, Any], complaint: str) -> None:
    pattern = re.escape(complaint).replace(r"\.\*", ".*")
    with pytest.raises(ConfigError, match=pattern):
        App(**options)


def test_one_server_listed_twice_is_refused() -> None:
    server = FakeServer("web")
    with pytest.raises(ConfigError, match=r"servers\[1\]: web is listed twice"):
        App(servers=[server, server])


def test_services_without_a_server_for_them_are_refused() -> None:
    class Job:
        async def start(self) -> None: ...

        async def stop(self) -> None: ...

    with pytest.raises(ConfigError, match="nothing can serve EchoService; add a server that can"):
        App(services=[EchoService()], servers=[Job()])
