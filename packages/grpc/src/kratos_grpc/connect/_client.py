"""The calls of a client over Connect on one node."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from kratos.limit import cancel_and_wait
from kratos.selector import Node
from kratos.transport import Arity, Call, converse
from kratos.transport.client_stream import outgoing_requests
from kratos_grpc._codings import Coding, coding_named
from kratos_grpc._failures import wrong_replies
from kratos_grpc.connect._asking import Accepting, get_request, post_request, stream_request
from kratos_grpc.connect._formats import Format, client_format
from kratos_grpc.connect._reading import lost, read_unary
from kratos_grpc.connect._wire_stream import ConnectStream
from kratos_http.carrier import Carrier, Request, TooLarge, Transmission

__all__ = ["ClientTerms", "ConnectConnection", "only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTerms:
    """What the connections of a connector have in common.

    Attributes:
        form: Name of the format of messages.
        coding: Of requests of 1 KiB or more, unless a call says otherwise; ``None`` for none.
        accepting: What is told of the answers that are understood.
        max_receive: Bytes of the largest reply message.
        get: Whether calls of methods without side effects are GETs, where they are short enough.
    """

    form: bytes
    coding: Coding | None
    accepting: Accepting
    max_receive: int
    get: bool


class ConnectConnection:
    """The connections to one node; see ``kratos.transport.Connection``.

    Args:
        node: Where they lead to.
        carrier: The connections.
        terms: What it has in common with others.
    """

    def __init__(self, node: Node, carrier: Carrier, terms: ClientTerms) -> None:
        self._node = node
        self._carrier = carrier
        self._terms = terms
        self._forms: dict[str, Format] = {}

    @property
    def node(self) -> Node:
        """Where it leads to."""
        return self._node

    @property
    def ready(self) -> bool:
        """Whether the newest attempt to connect that has ended succeeded, or none has."""
        return self._carrier.ready

    async def warm(self) -> None:
        """Open a connection, and keep it for the first call.

        Raises:
            OSError: That failed.
        """
        await self._carrier.warm()

    async def invoke(self, call: Call, request: Any, /) -> Any:
        """Carry one call; see ``Connection``.

        Raises:
            Error: What the service answered, or one of the client's own.
            ValueError: Connect cannot carry one of the headers.
            ConfigError: The call asks for a coding that there is not.

        Cancellation: the server learns of it.
        """
        call.peer = self._node.address
        form = self._forms.get(call.method.operation)
        if form is None:
            form = client_format(call.method, self._terms.form)
            self._forms[call.method.operation] = form
        try:
            if call.method.arity is Arity.UNARY:
                return await self._ask(call, form, request)
            return await self._stream(call, form, request)
        except (OSError, TooLarge) as error:
            raise lost(call, error) from error

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, let those in flight end, then cut the rest off; idempotent."""
        await self._carrier.aclose(drain=drain)

    def _coding(self, call: Call) -> Coding | None:
        options = call.options
        if options is None or options.compression is None:
            return self._terms.coding
        return coding_named(options.compression)

    async def _ask(self, call: Call, form: Format, request: Any) -> Any:
        """Carry a unary call."""
        terms = self._terms
        data = form.write(request)
        asked, body = None, b""
        if terms.get:
            asked = get_request(call, form, request, terms.accepting)
        if asked is None:
            coding = self._coding(call)
            asked, body = await post_request(call, form, data, terms.accepting, coding)
        call.path = asked.target.partition("?")[0].encode()
        reply = await self._carrier.ask(asked, body, repeatable=call.method.idempotent)
        return await read_unary(call, form, reply, terms.max_receive)

    def _stream_request(self, call: Call, form: Format, coding: Coding | None) -> Request:
        return stream_request(call, form, self._terms.accepting, coding)

    def _wire_stream(
        self, call: Call, form: Format, transmission: Transmission, coding: Coding | None
    ) -> ConnectStream:
        return ConnectStream(call, form, transmission, coding, self._terms.max_receive)

    async def _stream(self, call: Call, form: Format, request: Any) -> Any:
        """Carry a call that streams."""
        arity = call.method.arity
        coding = self._coding(call)
        asked = self._stream_request(call, form, coding)
        call.path = asked.target.encode()
        transmission = await self._carrier.open(asked)
        stream = self._wire_stream(call, form, transmission, coding)
        try:
            if arity is Arity.SERVER_STREAM:
                await stream.send(request)
                await stream.end()
            if arity.server_streams:
                return await converse(call, stream)
            return await _collect(call, stream, request)
        finally:
            await stream.aclose()


async def _collect(call: Call, stream: ConnectStream, requests: Any) -> Any:
    """Send a stream of requests and return the one reply.

    Raises:
        Error: What the service answered; 500 CODEC for another number of replies.
        Exception: Whatever the caller's iterator raised; it cancels the call.
    """
    feeding = asyncio.create_task(_feed(call, stream, requests))
    receiving = asyncio.create_task(only(stream))
    try:
        await asyncio.wait((feeding, receiving), return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():
            feeding.result()  # the caller's own exception says more than the cut-off call
        return await receiving
    finally:
        await cancel_and_wait(feeding, receiving)
        for task in (feeding, receiving):
            if not task.cancelled():
                task.exception()  # looked at: who raises something raises that


async def _feed(call: Call, stream: ConnectStream, requests: Any) -> None:
    async with aclosing(outgoing_requests(call, requests)) as messages:
        async for message in messages:
            if not await stream.offer(message):
                return
    await stream.end()


async def only(stream: ConnectStream) -> Any:
    """Return the reply of a call that has one.

    Raises:
        Error: What the service answered; 500 CODEC for another number of replies.
    """
    try:
        reply = await stream.receive()
    except StopAsyncIteration:
        raise wrong_replies("without a reply") from None
    try:
        await stream.receive()
    except StopAsyncIteration:
        return reply
    raise wrong_replies("with more than one reply")
