"""gRPC, held to the contract of middleware that every transport follows."""

from __future__ import annotations

from typing import Any

import pytest

from kratos.testing.availability_contract import AvailabilityContract
from kratos.testing.middleware_contract import MiddlewareContract, Transport


class TestGrpc(MiddlewareContract):
    @pytest.fixture
    def transport(self, serve: Any) -> Transport:
        opener: Transport = serve
        return opener


class TestGrpcAvailability(AvailabilityContract):
    @pytest.fixture
    def transport(self, serve: Any) -> Transport:
        opener: Transport = serve
        return opener
