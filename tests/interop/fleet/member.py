"""A service of ours that does what fleet.go does: it registers itself, and calls all of its kind.

Called with the URL of a registry, a name and an id. For each line on standard input it calls the
service often enough to reach every instance, over both transports, and prints who answered. At
the end of the input it stops as an application does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, ClassVar, Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct

from kratos import App, Client
from kratos.errors import Error
from kratos.registry import from_url
from kratos.testing.app import running
from kratos.transport import Arity, HttpRule, Method, Service
from kratos_grpc import GrpcServer
from kratos_http import HttpServer

CALLS: Final = 40
TRANSPORTS: Final = ("grpc", "http")

WHO: Final = Method(
    operation="/fleet.Fleet/Who",
    name="who",
    arity=Arity.UNARY,
    request=Empty,
    reply=Struct,
    http=(HttpRule(verb="GET", path="/who"),),
)


class Fleet(Service):
    METHODS: ClassVar[tuple[Method[Any, Any], ...]] = (WHO,)

    def __init__(self, name: str) -> None:
        self._reply = Struct()
        self._reply.update({"id": name})

    async def who(self, _: Empty, /) -> Struct:
        return self._reply


async def answered(client: Client) -> list[str]:
    """Return the ids of all who answered, and what went wrong among them."""
    found: set[str] = set()
    for _ in range(CALLS):
        try:
            found.add(str(dict(await client.unary(WHO, Empty(), None))["id"]))
        except Error as error:
            found.add(f"error: {error}")
    return sorted(found)


async def main(url: str, name: str, one: str) -> None:
    registry = from_url(url)
    app = App(
        id=one,
        name=name,
        version="python",
        metadata={"language": "python", "odd": "<&> größe"},
        services=[Fleet(one)],
        servers=[HttpServer("127.0.0.1:0"), GrpcServer("127.0.0.1:0")],
        registrar=registry,
    )
    clients = [
        Client(f"discovery:///{name}", transport=transport, discovery=registry)
        for transport in TRANSPORTS
    ]
    async with running(app), clients[0], clients[1]:
        while await asyncio.to_thread(sys.stdin.readline):
            found = [await answered(client) for client in clients]
            print(json.dumps(dict(zip(TRANSPORTS, found, strict=True))), flush=True)
    await registry.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
