"""The scope of a test that pytest-asyncio runs, in either of its modes and in any of its loops."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest_asyncio

if TYPE_CHECKING:
    from kratos.testing.fixtures import Scope

LoopScope: TypeAlias = "Literal['class', 'function', 'module', 'package', 'session']"


def _scope_in(loop_scope: LoopScope) -> object:
    """Return the fixture for tests that run in a loop of that scope."""

    @pytest_asyncio.fixture(name=f"_kratos_scope_asyncio_{loop_scope}", loop_scope=loop_scope)
    async def scope() -> AsyncGenerator[Scope]:
        from kratos.testing.fixtures import Scope

        async with Scope() as opened:
            yield opened

    return scope


# pytest finds fixtures as attributes of a module.
in_class = _scope_in("class")
in_function = _scope_in("function")
in_module = _scope_in("module")
in_package = _scope_in("package")
in_session = _scope_in("session")
