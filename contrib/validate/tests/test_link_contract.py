"""The contract of single middlewares, for requests that break no rule."""

from __future__ import annotations

import pytest

from kratos.testing.link_contract import LinkContract, Make
from kratos_validate import proto_validate


class TestProtoValidate(LinkContract):
    @pytest.fixture
    def make(self) -> Make:
        return proto_validate
