"""WebSockets through the gateway."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from kratos.clock import SYSTEM_CLOCK
from kratos.errors import Error
from kratos.limit import cancel_and_wait, shielded
from kratos.transport.http import Head, Reply, Socket
from kratos_gateway.backend import WEBSOCKET
from kratos_gateway.backend import Upgraded as Opened
from kratos_gateway.backend.websocket import NodeSocket
from kratos_gateway.exchange import Answer
from kratos_gateway.proxy.endpoint import Forwarder, report
from kratos_gateway.proxy.errors import error_answer, status_of

__all__ = ["PARTING", "Tunnel"]

_log = logging.getLogger("kratos.gateway")

_SWITCHING: Final = 101
_NORMAL: Final = 1000
_NO_CODE: Final = 1005
_RESTART: Final = 1012
_OVER: Final = "the configuration has changed"
_BAD_GATEWAY: Final = 1014
PARTING: Final = 5.0
"""Seconds for both sides to close."""
_MOST: Final = 1024 * 1024  # bytes of the body of a refusal


class Tunnel:
    """An ``Upgraded`` endpoint of the engine: a WebSocket of the client, joined to one of a node.

    The handshake goes through the middleware as other requests do. It is within the time limit of
    the endpoint; what follows is not. There is one attempt.

    Args:
        forwarder: The endpoint for other requests.
    """

    def __init__(self, forwarder: Forwarder) -> None:
        self._of = forwarder

    async def talk(self, head: Head, socket: Socket, /) -> None:
        """Answer a handshake, and then pass on what either side says."""
        work = self._of.work
        work.flights.begin()
        began = work.clock.time()
        code = 499
        opened: Opened | None = None
        try:
            try:
                answer, opened = await self._ask(head)
                code = answer.status
                if opened is None:
                    await socket.refuse(await _whole(answer, within=self._of.timeout))
                else:
                    await socket.accept(answer.headers)
            finally:
                took = work.clock.time() - began
                work.recorder.of(head.method).answered(code, took)
                self._of.tally.add(code, took)
            if opened is not None:
                await _join(socket, opened.socket, ends=work.flights.endless())
        finally:
            if opened is not None:
                opened.close()
            work.flights.end()

    async def _ask(self, head: Head) -> tuple[Answer, Opened | None]:
        request = self._of.work.request(head)
        values = request.options.values
        values[WEBSOCKET] = True
        request.options.last_attempt = True
        try:
            async with asyncio.timeout(self._of.timeout) as ends:
                request.options.is_late = ends.expired
                answer = await self._of.work.handler(request)
        except BaseException as error:
            _give_up(values[WEBSOCKET])
            if not isinstance(error, Exception):
                raise
            report(error, head, request.options)
            return error_answer(error, grpc=False, options=request.options), None
        opened = values[WEBSOCKET]
        if isinstance(opened, Opened) and answer.status == _SWITCHING:
            return answer, opened
        _give_up(opened)  # middleware has thought better of it
        return answer, None


def _give_up(opened: object) -> None:
    """Close the WebSocket of a node that nobody is joined to, if there is one."""
    if isinstance(opened, Opened):
        opened.close()


async def _whole(answer: Answer, *, within: float) -> Reply:
    """Return an answer as one that is whole, after so many seconds at most."""
    body = answer.body
    headers = [pair for pair in answer.headers if pair[0] != b"content-length"]
    if isinstance(body, bytes):
        return Reply(answer.status, headers, body)
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(within):
            while piece := await body.read():
                pieces.append(piece)
                size += len(piece)
                if size > _MOST:
                    raise OSError(f"the body of a refusal exceeds {_MOST} bytes")
    except OSError as error:
        _log.warning("a WebSocket was refused: %s", error)
        return Reply(status_of(error))
    finally:
        body.close()
    return Reply(answer.status, headers, b"".join(pieces))


async def _join(client: Socket, node: NodeSocket, *, ends: asyncio.Future[None]) -> None:
    """Pass messages on until one side ends, or both have to; then each learns how."""
    up = asyncio.create_task(_pass_on(client, node))
    down = asyncio.create_task(_pass_on(node, client))
    try:
        await asyncio.wait((up, down, ends), return_when=asyncio.FIRST_COMPLETED)
    finally:
        over = ends.done() and not ends.cancelled()
        ends.cancel()
        await cancel_and_wait(up, down)
        # Whoever has closed goes then, and the engine cancels this; the other is told all the same.
        await shielded(_part(client, node, over=over), clock=SYSTEM_CLOCK, timeout=PARTING)
    for task in (up, down):
        if not task.cancelled():
            task.result()


async def _part(client: Socket, node: NodeSocket, *, over: bool) -> None:
    """Tell each side that has not closed why the other has; a client that is lost is no reason."""
    if over:
        await node.close(_RESTART, _OVER)
        await client.close(_RESTART, _OVER)
    elif client.close_code is not None:
        await node.close(_code(client.close_code))
    elif node.close_code is not None:
        await client.close(_code(node.close_code))
    else:
        await client.close(_BAD_GATEWAY, "the back end was lost")


async def _pass_on(source: Socket | NodeSocket, target: Socket | NodeSocket) -> None:
    try:
        while (message := await source.receive()) is not None:
            await target.send(message)
    except Error as error:
        _log.debug("a WebSocket ended: %s", error)


def _code(code: int) -> int:
    return _NORMAL if code == _NO_CODE else code
