"""Fixtures of all tests of the HTTP transport, which run on both event loops."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping

import pytest

from kratos_http.testing import OpenPeer, asgi_peer, socket_peer

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories() -> Mapping[str, LoopFactory]:
    """Name the event loops: engines see more of them than business code does."""
    factories: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    if sys.platform != "win32" and sys.implementation.name == "cpython":
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.fixture(params=[socket_peer, asgi_peer], ids=["socket", "asgi"])
def open_peer(request: pytest.FixtureRequest) -> OpenPeer:
    """Return what runs a server on one engine, then on the other."""
    opened: OpenPeer = request.param
    return opened
