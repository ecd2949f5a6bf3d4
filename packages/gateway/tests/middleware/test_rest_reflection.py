"""REST by definitions that the back ends tell, over sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar

from google.api import annotations_pb2  # type: ignore[import-untyped]
from google.api.http_pb2 import HttpRule  # type: ignore[import-untyped]
from google.protobuf import wrappers_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from kratos.testing.clock import FakeClock
from kratos.testing.log import MemoryLogger
from kratos.testing.program import free_port
from kratos.transport import Arity, Method, Mount, Service
from kratos_gateway.api.rest_pb2 import Rest
from kratos_gateway.backend import Apart, ConnectOptions
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.registry import create
from kratos_gateway.testing import proxied
from kratos_grpc import Grpc
from kratos_http import HttpServer
from kratos_http.testing import SocketPeer, running

RULE: Any = annotations_pb2.http
TEXT = ".google.protobuf.StringValue"
REST: dict[str, Any] = {
    "name": "rest",
    "required": True,
    "options": {"@type": f"type.googleapis.com/{Rest.DESCRIPTOR.full_name}", "reflection": {}},
}


def pool_of(*paths: str) -> DescriptorPool:
    """Return definitions of a service with a method for each path."""
    made = DescriptorPool()
    made.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    needed = (wrappers_pb2.DESCRIPTOR.name,)
    file = FileDescriptorProto(name="till.proto", package="till", dependency=needed)
    service = file.service.add(name="Till")
    for path in paths:
        method = MethodDescriptorProto(name=path.title(), input_type=TEXT, output_type=TEXT)
        rule = HttpRule(get=f"/{path}/{{value}}")
        method.options.Extensions[RULE].CopyFrom(rule)
        service.method.append(method)
    made.AddSerializedFile(file.SerializeToString())
    return made


def till(*paths: str) -> Service:
    """Return a service that answers at each path with its name, and what it was asked."""
    pool = pool_of(*paths)
    text: Any = GetMessageClass(pool.FindMessageTypeByName(TEXT[1:]))

    class Till(Service):
        METHODS: ClassVar[tuple[Method[Any, Any], ...]] = tuple(
            Method(
                operation=f"/till.Till/{path.title()}",
                name=path,
                arity=Arity.UNARY,
                request=text,
                reply=text,
            )
            for path in paths
        )

        def __getattr__(self, name: str) -> Any:
            if name not in paths:
                raise AttributeError(name)
            return partial(self._answer, name)

        async def _answer(self, path: str, request: Any, /) -> Any:
            return text(value=f"{path} {request.value}")

    return Till()


@asynccontextmanager
async def served(
    *paths: str, address: str = "127.0.0.1:0", reflection: bool = True
) -> AsyncGenerator[str]:
    """Serve the service, and yield its address."""
    node = HttpServer(address, protocols=[Grpc(reflection=reflection)])
    node.mount(Mount(services=(till(*paths),)))
    async with running(node):
        yield (await node.bind())[0].rpartition("/")[2]


class Gateway:
    """A gateway whose time is a test's."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.logger = MemoryLogger()

    @asynccontextmanager
    async def before(self, *addresses: str) -> AsyncGenerator[SocketPeer]:
        """Serve back ends, and yield a connection of a client."""
        upstream = partial(Apart, connect=ConnectOptions(dial_timeout=5.0))
        context = Context(clock=self.clock, logger=self.logger, upstream=upstream)
        endpoint: dict[str, Any] = {
            "path": "/*",
            "protocol": "GRPC",
            "timeout": "10s",
            "backends": [{"target": address} for address in addresses],
            "middlewares": [REST],
        }
        async with proxied(endpoint, middleware=partial(create, context=context)) as gateway:
            yield await gateway.connect()


async def ask(peer: SocketPeer, path: str) -> tuple[int, Any]:
    answer = await peer.request("GET", path)
    told = json.loads(answer.body)
    return answer.status, told if answer.status == 200 else told["reason"]


async def test_service_is_called_by_the_rules_that_it_tells() -> None:
    async with served("sell") as address, Gateway().before(address) as peer:
        assert await ask(peer, "/sell/a%20b") == (200, "sell a b")
        assert await ask(peer, "/buy/a") == (404, "NOT_FOUND")
        assert await ask(peer, "/services") == (404, "NOT_FOUND")


async def test_requests_are_refused_until_a_back_end_is_there_to_tell() -> None:
    port = free_port()
    gateway = Gateway()
    async with gateway.before(f"127.0.0.1:{port}") as peer:
        assert await ask(peer, "/sell/a") == (503, "NOT_DEFINED_YET")
        assert "requests get 503" in gateway.logger.records[0][1]
        async with served("sell", address=f"127.0.0.1:{port}"):
            await eventually(peer, gateway.clock, "/sell/a", (200, "sell a"))


async def test_back_end_without_reflection_is_told_to_the_log() -> None:
    gateway = Gateway()
    async with served("sell", reflection=False) as address, gateway.before(address) as peer:
        assert await ask(peer, "/sell/a") == (503, "NOT_DEFINED_YET")
        (record,) = gateway.logger.records
        assert "has no reflection; serve it, or give descriptorSet" in str(record[2]["error"])


async def test_new_definitions_are_taken_in_time() -> None:
    port = free_port()
    gateway = Gateway()
    async with gateway.before(f"127.0.0.1:{port}") as peer:
        async with served("sell", address=f"127.0.0.1:{port}"):
            await eventually(peer, gateway.clock, "/sell/a", (200, "sell a"))
        async with served("sell", "buy", address=f"127.0.0.1:{port}"):
            assert await ask(peer, "/buy/a") == (404, "NOT_FOUND")
            await gateway.clock.advance(60)
            await eventually(peer, gateway.clock, "/buy/a", (200, "buy a"))


async def test_method_that_a_back_end_does_not_know_any_more_is_a_reason_to_ask() -> None:
    port = free_port()
    gateway = Gateway()
    async with gateway.before(f"127.0.0.1:{port}") as peer:
        async with served("sell", address=f"127.0.0.1:{port}"):
            await eventually(peer, gateway.clock, "/sell/a", (200, "sell a"))
        async with served("buy", address=f"127.0.0.1:{port}"):
            assert (await ask(peer, "/sell/a"))[0] == 501
            await gateway.clock.advance(1)
            await eventually(peer, gateway.clock, "/buy/a", (200, "buy a"), by=0)


async def eventually(
    peer: SocketPeer, clock: FakeClock, path: str, expected: tuple[int, Any], by: float = 10
) -> None:
    """Ask until the answer is as expected, while time goes on."""
    async with asyncio.timeout(30):
        while await ask(peer, path) != expected:
            await clock.advance(by)
            await asyncio.sleep(0.01)
