"""Instances of Go Kratos 3 and 2 and of this implementation, at one agent of Consul."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from kratos.registry import from_url, get_service

pytestmark = [pytest.mark.go, pytest.mark.service("consul"), pytest.mark.slow]

ALL = {"v3": "consul", "v2": "consul_v2", "py-1": "python", "py-2": "python"}


@pytest.fixture
def fleet(make_fleet: Callable[..., Any]) -> Any:
    address = os.environ["KRATOS_TEST_CONSUL"]
    url = f"consul://{address}?health_check_interval=1s"
    return make_fleet(go=(address, "-"), url=url)


async def test_each_finds_and_calls_all_and_sees_who_leaves(fleet: Any) -> None:
    await fleet.start(members(fleet))
    await check_entries(fleet)

    for one in ("v3", "py-1", "v2"):
        await fleet.leave(f"{fleet.name}-{one}")


async def test_each_sees_who_was_killed(fleet: Any) -> None:
    await fleet.start(members(fleet))

    for one in ("v2", "py-1", "v3"):
        await fleet.kill(f"{fleet.name}-{one}")


def members(fleet: Any) -> dict[str, str]:
    """Return what is started; an agent has one service of an id, so ids are used once."""
    return {f"{fleet.name}-{one}": kind for one, kind in ALL.items()}


async def check_entries(fleet: Any) -> None:
    """Compare what instances of Go have written with what one of ours has."""
    registry = from_url(fleet.url)
    found = {one.id: one for one in await get_service(registry, fleet.name)}
    await registry.aclose()
    versions = [found[f"{fleet.name}-{one}"].version for one in ("v3", "v2", "py-1")]
    assert versions == ["go", "go", "python"]
    for one in found.values():
        assert one.metadata["odd"] == "<&> größe"
        schemes = sorted(endpoint.partition("://")[0] for endpoint in one.endpoints)
        assert schemes == ["grpc", "http"]
