"""An ``HttpApplication`` as an ASGI 3 application, for any ASGI server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, TypeVar, cast
from urllib.parse import quote

from kratos.address import join_host_port
from kratos.errors import Error
from kratos.limit import cancel_and_wait
from kratos.transport.cause import Cause
from kratos.transport.http import Buffered, Head, HttpApplication, Reply, Streamed, Upgraded
from kratos_http._asgi_socket import AsgiSocket
from kratos_http._asgi_wire import AsgiWire, Event, Receive, Send
from kratos_http._handshake import asks
from kratos_http._refusal import refusal

__all__ = ["Asgi"]

T = TypeVar("T")

_log = logging.getLogger("kratos.http")

_TOO_LARGE: Final = 413
_SCHEMES: Final = {"https": "https", "wss": "https"}


class Asgi:
    """Serves an application on an ASGI server: ``uvicorn module:app`` and the like.

    Limits of heads, keep-alive and time limits of slow peers are the ASGI server's. A peer
    that goes away cancels its call, as on the built-in engine.

    Args:
        application: What is served, for instance ``HttpServer.application``.
        lifespan: Entered before the first request and left after the last one.
    """

    def __init__(
        self,
        application: HttpApplication,
        *,
        lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None,
    ) -> None:
        self._application = application
        self._lifespan = lifespan

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one connection scope.

        Raises:
            RuntimeError: The scope is of a type that ASGI 3 does not know.
        """
        kind = scope["type"]
        if kind == "http":
            head = _head(scope)
            trailers = "http.response.trailers" in (scope.get("extensions") or {})
            await self._serve(head, AsgiWire(head, receive, send, trailers=trailers))
        elif kind == "lifespan":
            await self._live(receive, send)
        elif kind == "websocket":
            await self._talk(scope, receive, send)
        else:
            raise RuntimeError(f"ASGI scopes of type {kind!r} are not served")

    async def _live(self, receive: Receive, send: Send) -> None:
        stack = AsyncExitStack()
        await receive()
        try:
            if self._lifespan is not None:
                await stack.enter_async_context(self._lifespan())
        except Exception as error:
            _log.exception("start-up failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await stack.aclose()
        except Exception as error:
            _log.exception("shutdown failed")
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, head: Head, wire: AsgiWire) -> None:
        endpoint = self._application.route(head)
        if hasattr(endpoint, "answer"):
            reply = await _answer(cast("Buffered", endpoint), head, wire)
        elif hasattr(endpoint, "converse"):
            streamed = cast("Streamed", endpoint)
            reply = await _watched(streamed.converse(head, wire), head, wire)
            if wire.started and not (wire.finished or wire.gone):
                # The one way to make an ASGI server break the answer off.
                raise RuntimeError(f"{head.method} {head.path!r}: the answer was not finished")
        else:
            reply = refusal(Error(400, "BAD_REQUEST", "this is served to WebSockets only"))
        if wire.gone or wire.started:
            return
        await _say(wire, reply or refusal(_internal()))

    async def _talk(self, scope: Event, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        refuses = "websocket.http.response" in (scope.get("extensions") or {})
        socket = AsgiSocket(receive, send, refuses=refuses)
        head = _head({**scope, "method": "GET"})
        if not asks(head):  # over HTTP/2, servers may leave out what HTTP/1.1 asks with
            head.headers.append((b"upgrade", b"websocket"))
        endpoint = self._application.route(head)
        if not hasattr(endpoint, "talk"):
            error = Error(404, "NOT_FOUND", "no WebSocket is served here")
            await socket.refuse(refusal(error))
            return
        upgraded = cast("Upgraded", endpoint)
        await _watched(upgraded.talk(head, socket), head, socket)
        if socket.gone or socket.finished:
            return
        if socket.answered:
            await socket.close(1011)
        else:
            await socket.refuse(refusal(_internal()))


async def _answer(endpoint: Buffered, head: Head, wire: AsgiWire) -> Reply | None:
    try:
        body = await wire.read_whole(endpoint.max_body)
    except Error as error:
        overflow = getattr(endpoint, "overflow", _refused) if error.code == _TOO_LARGE else _refused
        reply: Reply = overflow(head, error)
        return reply
    return await _watched(endpoint.answer(head, body), head, wire)


def _refused(_head: Head, error: Error) -> Reply:
    return refusal(error)


async def _watched(work: Awaitable[T], head: Head, wire: AsgiWire | AsgiSocket) -> T | None:
    """Run the work in this task, cancelled if the peer goes away; ``None`` then, or if it fails."""
    task = asyncio.current_task()
    assert task is not None, "an ASGI server runs applications in tasks"
    cancelled = False

    def left() -> None:
        nonlocal cancelled
        if head.running is not None:
            head.running.cancel(Cause.PEER_GONE)
        else:
            cancelled = True
            task.cancel()

    watching: asyncio.Task[None] | None = None

    def watch() -> None:
        nonlocal watching
        watching = asyncio.create_task(wire.follow(left))

    # Not at once: most work ends before the loop turns, and a task costs more than such work.
    turned = asyncio.get_running_loop().call_soon(watch)
    try:
        result = await work
    except asyncio.CancelledError:
        if not cancelled or task.uncancel():
            raise
    except Exception:
        if not wire.gone:
            _log.exception("%s failed outside of its call", head)
    else:
        return result
    finally:
        turned.cancel()
        if watching is not None:
            await cancel_and_wait(watching)
    return None


async def _say(wire: AsgiWire, reply: Reply) -> None:
    try:
        await wire.say(reply)
    except ValueError:
        _log.exception("an answer with status %d could not be sent", reply.status)
        await wire.say(refusal(_internal()))
    except Error:
        _log.debug("the peer went away before its answer")


def _head(scope: Event) -> Head:
    raw: bytes | None = scope.get("raw_path")
    path = quote(scope["path"]).encode() if raw is None else raw.partition(b"?")[0]
    root = quote(scope.get("root_path", "")).encode()
    if root and path.startswith(root):
        path = path[len(root) :] or b"/"
    client = scope.get("client")
    scheme = _SCHEMES.get(scope.get("scheme", "http"), "http")
    return Head(
        scope["method"].upper(),
        path,
        scope.get("query_string", b""),
        [(name.lower(), value) for name, value in scope["headers"]],
        scheme=scheme,
        version=scope["http_version"],
        peer=join_host_port(*client) if client else "",
        tls=scheme == "https",
    )


def _internal() -> Error:
    return Error(500, "UNKNOWN", "unknown request error")
