"""Services of Go Kratos behind the gateway, called as no service of Go is by itself."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kratos import Client, Error
from kratos_gateway.api.connect_pb2 import Connect
from kratos_gateway.api.rest_pb2 import Rest
from kratos_gateway.backend import Apart
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.registry import create
from kratos_gateway.testing import proxied
from kratos_grpc.connect import ConnectConnector
from kratos_http.testing import SocketPeer

pytestmark = [pytest.mark.go, pytest.mark.slow]


@pytest.fixture(params=["go_program", "go2_program"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a service of Go Kratos over gRPC, v3 and v2."""
    program: Path = request.getfixturevalue(request.param)
    command = [str(program), "server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as go:
        assert go.stdin is not None
        assert go.stdout is not None
        try:
            address = json.loads(go.stdout.readline())["grpc"]
            wait_for(address)
            yield address
        finally:
            go.stdin.close()  # which is how it is asked to stop


def wait_for(address: str) -> None:
    """Return when it takes connections, which is a moment after it is told."""
    host, _, port = address.rpartition("/")[2].partition(":")
    while True:
        try:
            socket.create_connection((host, int(port))).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return


def behind(address: str, name: str, kind: Any) -> Any:
    """Serve the gateway before a service, with a middleware that asks it for definitions."""
    options: dict[str, Any] = {
        "@type": f"type.googleapis.com/{kind.DESCRIPTOR.full_name}",
        "reflection": {},
    }
    endpoint: dict[str, Any] = {
        "path": "/*",
        "protocol": "GRPC",
        "timeout": "10s",
        "backends": [{"target": address}],
        "middlewares": [{"name": name, "required": True, "options": options}],
    }
    context = Context(upstream=Apart)
    return proxied(endpoint, middleware=partial(create, context=context))


@pytest.fixture
async def rest(address: str) -> AsyncIterator[SocketPeer]:
    """A client of the service, by REST."""
    async with behind(address, "rest", Rest) as gateway:
        yield await gateway.connect()


async def sent(peer: SocketPeer, verb: str, path: str, body: object = None) -> tuple[int, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    answer = await peer.request(verb, path, body=data)
    return answer.status, json.loads(answer.body)


async def test_service_is_called_by_its_rules_which_it_tells_itself(rest: SocketPeer) -> None:
    status, found = await sent(rest, "POST", "/interop/mirror", {"title": "é", "pages": 7})
    assert (status, found["title"], found["pages"]) == (200, "é", "7")
    status, found = await sent(rest, "GET", "/interop/shelves/3/books/a%20b")
    assert (status, found["book"]["title"]) == (200, "a b")


async def test_error_is_that_of_the_service(rest: SocketPeer) -> None:
    status, told = await sent(rest, "GET", "/interop/fail/409?reason=BUSY&message=later")
    assert (status, told["code"], told["reason"]) == (409, 409, "BUSY")
    assert told["message"] == "later"


async def test_stream_of_the_service_is_lines(rest: SocketPeer) -> None:
    answer = await rest.request("GET", "/interop/watch/a?count=3")
    assert answer.status == 200
    assert len(answer.body.splitlines()) == 3


async def test_stream_to_the_service_is_lines(rest: SocketPeer) -> None:
    lines = b'{"title":"a","pages":1}\n{"title":"b","pages":2}\n'
    answer = await rest.request("POST", "/interop/collect", body=lines)
    assert (answer.status, json.loads(answer.body)["pages"]) == (200, "3")


@pytest.mark.parametrize("options", [{}, {"json": True}, {"http2": True}])
async def test_service_is_called_by_clients_of_connect(
    address: str, options: dict[str, Any]
) -> None:
    definition = import_module("interop.v1.interop_pb2")
    client = import_module("interop.v1.interop_kratos").InteropClient
    inner, sent = definition.Inner, [definition.Inner(title=each, pages=1) for each in "ab"]

    async def messages() -> AsyncIterator[Any]:
        for each in sent:
            yield each

    async with behind(address, "connect", Connect) as gateway:
        url = f"http://127.0.0.1:{gateway.listening.port}"
        async with Client(url, transport=ConnectConnector(**options)) as link:
            service = client(link)
            assert await service.mirror(inner(title="é", pages=7)) == inner(title="é", pages=7)
            assert (await service.collect(messages())).pages == 2
            asked = definition.WatchRequest(title="a", count=3)
            async with service.watch(asked) as replies:
                assert len([each async for each in replies]) == 3
            with pytest.raises(Error) as failed:
                await service.fail(definition.FailRequest(code=409, reason="BUSY", message="no"))
            assert (failed.value.code, failed.value.reason) == (409, "BUSY")
