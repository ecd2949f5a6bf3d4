"""The contract of single middlewares, for both sides of tokens."""

from __future__ import annotations

from typing import ClassVar

import pytest

from kratos.middleware import PerMethod
from kratos.testing.link_contract import LinkContract, Make
from kratos.transport import Side
from kratos_jwt import Key, client, server, sign

KEY = Key.from_secret("a secret of the tests, long enough for all of them")
TOKEN = sign(KEY, {"sub": "somebody", "exp": 4_000_000_000})


class TestClient(LinkContract):
    sides: ClassVar = frozenset({Side.CLIENT})

    @pytest.fixture
    def make(self) -> Make:
        return lambda: client(KEY)


class TestServer(LinkContract):
    sides: ClassVar = frozenset({Side.SERVER})

    @pytest.fixture(params=[False, True], ids=["at the opening", "to the end"])
    def make(self, request: pytest.FixtureRequest) -> Make:
        end_streams: bool = request.param

        def made() -> PerMethod:
            return server(KEY, sources=[lambda _call: TOKEN], end_streams=end_streams)

        return made
