"""The greeter of the demo: a whole service."""

from __future__ import annotations

from helloworld.greeter_kratos import Greeter
from helloworld.greeter_pb2 import HelloReply, HelloRequest

from kratos import errors

__all__ = ["GreeterService"]


class GreeterService(Greeter):
    """Greets people, if they have a name."""

    async def say_hello(self, request: HelloRequest, /) -> HelloReply:
        """Greet one person by name."""
        if not request.name.strip():
            raise errors.bad_request("NAME_MISSING", "tell me whom to greet")
        return HelloReply(message=f"Hello {request.name}!")
