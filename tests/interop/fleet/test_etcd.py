"""Instances of Go Kratos 3 and 2 and of this implementation, in one etcd."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from kratos.registry import from_url, get_service

pytestmark = [pytest.mark.go, pytest.mark.service("etcd"), pytest.mark.slow]

ALL = {"v3-1": "etcd", "v3-2": "etcd", "v2": "etcd_v2", "py-1": "python", "py-2": "python"}


@pytest.fixture
def fleet(make_fleet: Callable[..., Any]) -> Any:
    address = os.environ["KRATOS_TEST_ETCD"]
    if address == "start":
        pytest.skip("only tests of kratos-etcd start an etcd: set KRATOS_TEST_ETCD")
    namespace = f"/fleet/{uuid4()}"
    return make_fleet(go=(address, namespace), url=f"etcd://{address}{namespace}?ttl=3s")


async def test_each_finds_and_calls_all_and_sees_who_leaves(fleet: Any) -> None:
    await fleet.start(ALL)
    await check_entries(fleet)

    for one in ("v3-1", "py-1", "v2", "py-2"):
        await fleet.leave(one)


async def test_each_sees_who_was_killed(fleet: Any) -> None:
    await fleet.start(ALL)

    for one in ("v3-1", "py-1", "v2"):
        await fleet.kill(one)


async def check_entries(fleet: Any) -> None:
    """Compare what instances of Go have written with what one of ours has."""
    registry = from_url(fleet.url)
    found = {one.id: one for one in await get_service(registry, fleet.name)}
    await registry.aclose()
    assert [found[one].version for one in ("v3-1", "v2", "py-1")] == ["go", "go", "python"]
    for one in found.values():
        assert one.metadata["odd"] == "<&> größe"
        schemes = sorted(endpoint.partition("://")[0] for endpoint in one.endpoints)
        assert schemes == ["grpc", "http"]
