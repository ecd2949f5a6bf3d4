"""How contract suites of transports repeat a test for every arity."""

from __future__ import annotations

from typing import ClassVar

import pytest

from kratos.testing.echo import ALL, CHAT, COLLECT, WATCH
from kratos.transport import Arity

__all__ = ["OfArities", "client_stream_only", "every_stream"]

every_stream = pytest.mark.parametrize(
    "method", [WATCH, CHAT], ids=["server_stream", "bidi_stream"]
)
client_stream_only = pytest.mark.parametrize("method", [COLLECT], ids=["client_stream"])


class OfArities:
    """A suite for the arities that a transport carries.

    Attributes:
        arities: Those.
    """

    arities: ClassVar[frozenset[Arity]] = frozenset({Arity.UNARY})

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test that names no methods of its own once for each arity."""
        marked = any(
            "method" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")
        )
        if "method" in metafunc.fixturenames and not marked:
            carried = [method for method in ALL if method.arity in self.arities]
            metafunc.parametrize("method", carried, ids=[m.arity.value for m in carried])
