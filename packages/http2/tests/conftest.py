"""Both sides, for what holds for both."""

from __future__ import annotations

import pytest
from packages.http2.tests.peers.wire import Side


@pytest.fixture(params=["server", "client"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def side(kind: str) -> Side:
    return Side(kind)


@pytest.fixture
def server() -> Side:
    return Side("server")


@pytest.fixture
def client() -> Side:
    return Side("client")
