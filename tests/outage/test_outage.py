"""Instances come back by themselves when their registry does, on every real server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.outage.outage import bound, outage
from tests.outage.servers import KINDS, Server

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("empty", [False, True], ids=["as it was", "empty"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.service(name)) for name in KINDS]
)
async def test_instances_are_registered_again_when_the_registry_comes_back(
    name: str, tmp_path: Path, *, empty: bool
) -> None:
    if KINDS[name].program not in os.environ:
        pytest.skip(f"{KINDS[name].program} does not name a program that can be started")
    server = Server(KINDS[name], tmp_path / "server")
    try:
        await server.start()
        outcome = await outage(server, seconds=1, empty=empty)
    finally:
        server.kill()
    assert outcome.complete
    assert outcome.seen < bound()
