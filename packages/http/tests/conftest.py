"""Fixtures of all tests of the HTTP transport."""

from __future__ import annotations

import pytest

from kratos_http.testing import OpenPeer, asgi_peer, socket_peer


@pytest.fixture(params=[socket_peer, asgi_peer], ids=["socket", "asgi"])
def open_peer(request: pytest.FixtureRequest) -> OpenPeer:
    """Return what runs a server on one engine, then on the other."""
    opened: OpenPeer = request.param
    return opened
