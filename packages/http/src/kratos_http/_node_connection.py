"""The calls of a client on one node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kratos.errors import Error
from kratos.selector import Node
from kratos.transport import Arity, Call, Method, converse
from kratos_http._events import EVENT_STREAM
from kratos_http._exchange import RawReply, TooLarge
from kratos_http._frames import Frames, Side
from kratos_http._handshake import accepts, new_key, request_lines
from kratos_http._http2_requests import StreamedRequest
from kratos_http._negotiated_pool import Pool
from kratos_http._packing import Packing
from kratos_http._plan import Body, Plan
from kratos_http._redirects import next_target
from kratos_http._reply_codings import decoded
from kratos_http._request_head import RequestHeads
from kratos_http._socket import FramedSocket
from kratos_http._socket_client import Opened, SocketStream, collect
from kratos_http._sse_client import Resumption, SseStream
from kratos_http._streaming import StreamConnection
from kratos_http._transfer_client import DownloadStream, Transfer, UploadStream
from kratos_http._trouble import frozen, too_large, unavailable
from kratos_http.reconnect import Reconnect

__all__ = ["CallSettings", "HttpConnection"]

_SWITCHING: Final = 101
_CLOSE_TIMEOUT: Final = 2.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """What the connections of a connector have in common.

    Attributes:
        plan: Returns how a method is called.
        packing: Compresses requests; ``None`` for nothing.
        accept_encoding: Header line that asks for compressed replies.
        redirects: How many are followed in one call.
        max_reply: Bytes of the largest reply, or message of a stream of them.
        ping_interval: Seconds between pings on a WebSocket from which nothing comes.
        ping_timeout: Seconds for anything to come after a ping.
        reconnect: When a lost stream of events is taken up again; ``None`` for never.
    """

    plan: Callable[[Method[Any, Any]], Plan]
    packing: Packing | None
    accept_encoding: bytes
    redirects: int
    max_reply: int
    ping_interval: float
    ping_timeout: float
    reconnect: Reconnect | None


class HttpConnection:
    """The connections to one node; see ``kratos.transport.Connection``.

    Args:
        node: Where they lead to.
        pool: The connections.
        heads: Writes the heads of requests.
        socket_heads: Writes those of WebSockets, which lead through a proxy.
        settings: What it has in common with others.

    Attributes:
        pool: The connections.
    """

    def __init__(
        self,
        node: Node,
        pool: Pool,
        settings: CallSettings,
        *,
        heads: RequestHeads,
        socket_heads: RequestHeads,
    ) -> None:
        self._node = node
        self.pool = pool
        self._heads = heads
        self._socket_heads = socket_heads
        self._settings = settings

    @property
    def node(self) -> Node:
        """Where it leads to."""
        return self._node

    @property
    def ready(self) -> bool:
        """Whether the newest attempt to connect that has ended succeeded, or none has."""
        return self.pool.healthy

    async def warm(self) -> None:
        """Open a connection, and keep it for the first call.

        Raises:
            OSError: That failed.
        """
        await self.pool.warm()

    async def invoke(self, call: Call, request: Any, /) -> Any:
        """Carry one call; see ``Connection``.

        Raises:
            Error: What the service answered, or one of the connector's own.

        Cancellation: closes the connection, by which the server learns of it.
        """
        call.peer = self._node.address
        plan = self._settings.plan(call.method)
        try:
            if plan.upload is not None:
                return await self._transfer(plan, call, request)
            if call.method.arity is Arity.SERVER_STREAM:
                return await self._follow(plan, call, request)
            if call.method.arity.client_streams:
                return await self._talk(plan, call, request)
            return await self._exchange(plan, call, request)
        except TooLarge as error:
            raise too_large(call, error) from error
        except OSError as error:
            raise unavailable(call, error) from error

    async def _exchange(self, plan: Plan, call: Call, request: Any) -> Any:
        """Carry a unary call."""
        plan, target, body = plan.write(request)
        body = await self._packed(call, body)
        reply = await self._ask(plan, call, target, body)
        for _ in range(self._settings.redirects):
            onward = next_target(reply, plan.verb, self._heads.url(target))
            target = "" if onward is None else self._heads.relative(onward)
            if not target:
                break
            reply = await self._ask(plan, call, target, body)
        if reply.header(b"content-encoding"):
            reply = await decoded(reply, self._settings.max_reply)
        call.reply_headers = frozen(reply.headers)
        call.trailers = frozen(reply.trailers)
        return plan.read(reply)

    async def _ask(self, plan: Plan, call: Call, target: str, body: Body) -> RawReply:
        encodings = self._settings.accept_encoding
        if encodings and len(call.headers) and call.headers.get("accept-encoding"):
            encodings = b""
        return await self.pool.exchange(
            lambda: self._written(plan, call, target, body, more=encodings),
            repeatable=plan.repeatable,
            head_only=plan.verb == "HEAD",
        )

    async def _follow(self, plan: Plan, call: Call, request: Any) -> None:
        """Carry a call whose replies come as events."""
        plan, target, body = plan.write(request)
        body = await self._packed(call, body)
        dismiss = self.pool.dismiss

        async def reopen(last_id: str) -> StreamedRequest:
            call.headers.set("last-event-id", last_id)
            try:
                return (await self._events(plan, call, target, body))[0]
            except OSError as error:
                raise unavailable(call, error) from error

        connection, reply = await self._events(plan, call, target, body)
        call.reply_headers = frozen(reply.headers)
        kind = reply.header(b"content-type")
        if plan.downloads(kind):
            try:
                await converse(call, DownloadStream(call, plan, connection, kind.decode("latin-1")))
            finally:
                dismiss(connection)
            return
        policy = self._settings.reconnect if plan.repeatable else None
        resumption = None if policy is None else Resumption(policy, reopen, dismiss)
        stream = SseStream(
            call, plan, connection, max_event=self._settings.max_reply, resumption=resumption
        )
        try:
            await converse(call, stream)
        finally:
            dismiss(stream.connection)

    async def _events(
        self, plan: Plan, call: Call, target: str, body: Body
    ) -> tuple[StreamedRequest, RawReply]:
        """Ask for events, or for a download, and return what answers with them."""
        connection = await self.pool.dedicate()
        try:
            reply = await connection.request(self._written(plan, call, target, body))
            if not 200 <= reply.status < 300:
                call.reply_headers = frozen(reply.headers)
                await self._refused(plan, connection, reply)
            if reply.header(b"content-encoding").lower() not in (b"", b"identity"):
                raise Error(500, "CODEC", f"{call.peer}: events came compressed, unasked")
            kind = reply.header(b"content-type")
            # Go's has none, if it is empty.
            if plan.download is None and kind and not kind.lower().startswith(EVENT_STREAM):
                shown = kind.decode("latin-1")
                raise Error(500, "CODEC", f"{call.peer}: {shown} is no stream of events")
        except BaseException:
            self.pool.dismiss(connection)
            raise
        return connection, reply

    async def _transfer(self, plan: Plan, call: Call, requests: Any) -> Any:
        """Carry a call whose requests are the body of one."""
        open_transfer = partial(self._open_transfer, plan, call)
        stream = UploadStream(call, plan, open_transfer, max_reply=self._settings.max_reply)
        try:
            return await collect(call, stream, requests)
        finally:
            await stream.aclose()

    async def _open_transfer(self, plan: Plan, call: Call, first: Any) -> Transfer:
        """Send the head of an upload; see ``UploadStream``."""
        target, body = plan.upload_head(first)
        try:
            connection = await self.pool.dedicate()
        except OSError as error:
            raise unavailable(call, error) from error
        release = partial(self.pool.dismiss, connection)
        try:
            head = self._head(plan, call, target, body)
            return Transfer(connection, head, body, release=release)
        except OSError as error:
            release()
            raise unavailable(call, error) from error
        except Error:
            release()
            raise

    async def _talk(self, plan: Plan, call: Call, requests: Any) -> Any:
        """Carry a call whose requests are a stream."""
        stream = SocketStream(call, plan, partial(self._open_socket, plan, call))
        try:
            if not plan.lazy:
                await stream.open(None)
            if call.method.arity is Arity.BIDI_STREAM:
                return await converse(call, stream)
            return await collect(call, stream, requests)
        finally:
            await stream.aclose()

    async def _open_socket(self, plan: Plan, call: Call, first: Any) -> Opened:
        """Open a WebSocket; see ``SocketStream.open``."""
        key = new_key()
        target = plan.socket_target(first)
        call.path = _path(target)
        lines = request_lines(key)
        try:
            connection = await self.pool.dedicate(through=True, socket=True)
            assert isinstance(connection, StreamConnection), "WebSockets are on HTTP/1.1"
        except OSError as error:
            raise unavailable(call, error) from error
        try:
            head = self._socket_heads.write(call, plan.verb, target, accept=plan.accept, more=lines)
            return await self._shake_hands(plan, call, connection, head=head, key=key)
        except TooLarge as error:
            self.pool.dismiss(connection)
            raise too_large(call, error) from error
        except OSError as error:
            self.pool.dismiss(connection)
            raise unavailable(call, error) from error
        except BaseException:
            self.pool.dismiss(connection)
            raise

    async def _shake_hands(
        self, plan: Plan, call: Call, connection: StreamConnection, *, head: bytes, key: str
    ) -> Opened:
        reply = await connection.request(head, upgrade=True)
        call.reply_headers = frozen(reply.headers)
        if reply.status != _SWITCHING:
            if 200 <= reply.status < 300:
                raise Error(500, "CODEC", f"{call.peer}: {reply.status} is no WebSocket")
            await self._refused(plan, connection, reply)
        if not accepts(reply.headers, key):
            raise Error(500, "CODEC", f"{call.peer}: the handshake was not answered as asked")
        own = bool(reply.header(b"sec-websocket-protocol"))
        frames = Frames(Side.CLIENT, max_message=self._settings.max_reply)
        socket = FramedSocket(connection, frames, close_timeout=_CLOSE_TIMEOUT)
        if own:  # Go's server answers pings only while its handler receives
            interval = self._settings.ping_interval
            socket.ping_every(interval, timeout=self._settings.ping_timeout, strict=True)
        connection.attach(socket)
        release = partial(self.pool.dismiss, connection)
        return Opened(socket=socket, own=own, release=release)

    async def aclose(self, *, drain: float = 0.0) -> None:
        """Refuse new calls, let those in flight end, then cut the rest off; idempotent.

        Args:
            drain: Seconds for calls in flight.
        """
        await self.pool.aclose(drain=drain)

    async def _refused(self, plan: Plan, connection: StreamedRequest, reply: RawReply) -> None:
        """Raise the error that an answer is instead of a stream."""
        limit = self._settings.max_reply
        reply.body = await connection.rest(limit)
        raise plan.error(await decoded(reply, limit))

    async def _packed(self, call: Call, body: Body) -> Body:
        """Return a body as it is sent: compressed, if it is to be and nobody has done so."""
        packing = self._settings.packing
        if packing is None or call.headers.get("content-encoding"):
            return body
        return await packing.pack(body)

    def _written(
        self, plan: Plan, call: Call, target: str, body: Body, *, more: bytes = b""
    ) -> bytes:
        """Return a whole request."""
        if body.coding:
            more += b"content-encoding: %b\r\n" % body.coding.encode()
        return self._head(plan, call, target, body, more=more) + body.data

    def _head(self, plan: Plan, call: Call, target: str, body: Body, *, more: bytes = b"") -> bytes:
        call.path = _path(target)
        return self._heads.write(
            call,
            plan.verb,
            target,
            accept=body.accept or plan.accept,
            content_type=body.content_type,
            length=None if body.chunked else len(body.data),
            more=more,
        )


def _path(target: str) -> bytes:
    return target.partition("?")[0].encode()
