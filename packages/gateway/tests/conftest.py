from __future__ import annotations

from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def sample() -> str:
    """A configuration with all that Go's own sample has."""
    return (FIXTURES / "sample.yaml").read_text(encoding="utf-8")
