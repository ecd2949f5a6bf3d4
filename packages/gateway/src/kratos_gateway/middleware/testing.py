"""For tests of middleware: requests, back ends that keep what they were asked, bodies in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeAlias

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from kratos.errors import Error
from kratos.transport.http import WireHeaders
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.gateway_pb2 import Middleware as Configured
from kratos_gateway.exchange import Answer, Body, Handler, Request, RequestOptions
from kratos_gateway.middleware.context import Context
from kratos_gateway.middleware.registry import create

__all__ = ["Backend", "Headers", "Pieces", "behind", "configured", "request_to"]

Headers: TypeAlias = "Iterable[tuple[str, str]]"


class Pieces:
    """A body in pieces.

    Args:
        pieces: Its pieces; an exception is raised in its place, for good.
        trailers: Once it has ended.

    Attributes:
        closed: Whether it was cut off, or closed after its end.
    """

    def __init__(self, *pieces: bytes | Exception, trailers: WireHeaders = ()) -> None:
        self._pieces: Final = list(pieces)
        self._trailers: Final = trailers
        self.closed = False

    @property
    def trailers(self) -> WireHeaders:
        """Trailers, once it has ended."""
        return () if self._pieces else self._trailers

    async def read(self) -> bytes:
        """Return the next piece."""
        if self.closed:
            raise Error(499, "CANCELLED", "the body was cut off")
        if not self._pieces:
            return b""
        piece = self._pieces[0]
        if isinstance(piece, Exception):
            raise piece
        del self._pieces[0]
        return piece

    def close(self) -> None:
        """Cut it off."""
        self.closed = True


class Backend:
    """A handler that keeps what it is asked.

    Args:
        answers: One for each request, the last one for all further; an exception is raised.

    Attributes:
        requests: In the order in which they came.
    """

    def __init__(self, *answers: Answer | Exception) -> None:
        self._answers: Final = list(answers) or [Answer(200)]
        self.requests: Final[list[Request]] = []

    @property
    def last(self) -> Request:
        """The request that came last."""
        return self.requests[-1]

    async def __call__(self, request: Request, /) -> Answer:
        """Answer."""
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return replace(answer, headers=list(answer.headers))


def request_to(
    target: str = "/",
    /,
    *,
    method: str = "GET",
    headers: Headers = (),
    body: bytes | Body = b"",
    host: str = "gateway.test",
    peer: str = "192.0.2.7:40000",
    endpoint: Endpoint | None = None,
) -> Request:
    """Return a request.

    Args:
        target: Path, and query if it has one.
        method: Verb.
        headers: Names in any case, and values.
        body: Of the request.
        host: As the client named it.
        peer: Address of the client.
        endpoint: Its endpoint.
    """
    path, _, query = target.partition("?")
    return Request(
        method=method,
        scheme="http",
        host=host,
        path=path,
        query=query,
        headers=[(name.lower().encode(), value.encode()) for name, value in headers],
        body=body,
        peer=peer,
        version="1.1",
        options=RequestOptions(endpoint or Endpoint(path="/*")),
    )


def configured(name: str, options: Message | None = None, *, required: bool = True) -> Configured:
    """Return a middleware as a configuration has it."""
    message = Configured(name=name, required=required)
    if options is not None:
        packed = AnyMessage()
        packed.Pack(options)
        message.options.CopyFrom(packed)
    return message


def behind(
    backend: Handler,
    name: str,
    options: Message | None = None,
    *,
    endpoint: Endpoint | None = None,
    context: Context | None = None,
) -> Handler:
    """Return what asks a back end through a middleware.

    Raises:
        ConfigError: The middleware cannot be made.
    """
    made = create(configured(name, options), context=context or Context())
    return made.wrap(backend, endpoint or Endpoint(path="/*"))
