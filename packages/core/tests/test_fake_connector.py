"""The connector for tests, as far as the tests of clients do not show it."""

from __future__ import annotations

import pytest

from kratos.errors import Error
from kratos.selector import Node
from kratos.testing.connector import FakeConnector
from kratos.testing.echo import ECHO, EchoService, text
from kratos.transport import ChainCaller

NODE = Node(scheme="http", address="a:1")


def test_newest_connection_of_an_address_is_at_hand() -> None:
    connector = FakeConnector()
    connector.connect(NODE)
    newest = connector.connect(NODE)
    assert connector.connection("a:1") is newest


def test_address_without_connection_is_told() -> None:
    with pytest.raises(LookupError, match="no connection to b:1 was made"):
        FakeConnector().connection("b:1")


async def test_closed_connection_refuses_calls() -> None:
    connector = FakeConnector()
    connector.serve("a:1", EchoService())
    connection = connector.connect(NODE)
    await connection.warm()
    await connection.aclose()
    with pytest.raises(Error, match="the connection is closed"):
        await ChainCaller(connection.invoke, transport="http").unary(ECHO, text("ok"))
    assert not connection.ready


async def test_address_that_leaves_takes_no_connection_and_serves_what_is_on_its_way() -> None:
    connector = FakeConnector()
    connector.serve("a:1", EchoService())
    connection = connector.connect(NODE)
    await connection.warm()
    connector.leave("a:1")
    assert not connection.ready
    with pytest.raises(ConnectionRefusedError, match="going away"):
        await connection.warm()
    caller = ChainCaller(connection.invoke, transport="http")
    assert (await caller.unary(ECHO, text("late"))).value == "late"
    connector.serve("a:1", EchoService())
    await connection.warm()
    assert connection.ready
