"""The scope of a test that pytest-asyncio runs, in either of its modes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from kratos.testing._pytest_scope import Scope


@pytest_asyncio.fixture
async def _kratos_scope_asyncio() -> AsyncGenerator[Scope]:
    from kratos.testing._pytest_scope import Scope

    async with Scope() as scope:
        yield scope
