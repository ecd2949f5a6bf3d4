from __future__ import annotations

import pytest
from tests.auth.opening import TRANSPORTS, Open


@pytest.fixture(params=TRANSPORTS)
def opened(request: pytest.FixtureRequest) -> Open:
    """Every transport."""
    return TRANSPORTS[request.param]
