"""Instances of Go Kratos 3 and of this implementation, in one ZooKeeper."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from kratos.url import parse_url

pytestmark = [pytest.mark.go, pytest.mark.service("zookeeper"), pytest.mark.slow]

ALL = {"go-1": "zookeeper", "go-2": "zookeeper", "py-1": "python", "py-2": "python"}


@pytest.fixture
def fleet(make_fleet: Callable[..., Any]) -> Any:
    (host,) = parse_url(os.environ["KRATOS_TEST_ZOOKEEPER"]).addresses(2181)
    root = f"/fleet-{uuid4()}"
    return make_fleet(go=(host, root), url=f"zookeeper://{host}{root}?session_timeout=2s")


async def test_each_finds_and_calls_all_and_sees_who_leaves(fleet: Any) -> None:
    await fleet.start(ALL)

    for one in ("go-1", "py-1", "go-2"):
        await fleet.leave(one)


async def test_each_sees_who_was_killed(fleet: Any) -> None:
    await fleet.start(ALL)

    for one in ("go-1", "py-1", "go-2"):
        await fleet.kill(one)


async def test_instance_of_a_killed_go_process_is_taken_over(fleet: Any) -> None:
    await fleet.start({"same": "zookeeper", "other": "zookeeper"})
    old = fleet.members.pop("same")
    await old.kill()

    await fleet.start({"same": "python"})  # whose node is there until the session ends
