"""Bodies far larger than what is held of them, in processes of their own."""

from __future__ import annotations

import sys
from typing import Final

import pytest
from benchmarks.bodies import CASES, ENGINES, measured

BODY: Final = 128  # MiB
MOST: Final = 32  # MiB


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the figures come from /proc")
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_large_body_takes_little_memory(engine: str, case: str) -> None:
    moved = measured(engine, case, mib=BODY)
    assert moved.server_mib < MOST
    assert moved.client_mib < MOST
