"""Answers on their way to the client."""

from __future__ import annotations

from typing import Final

from kratos.metrics import Counter
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Wire
from kratos_gateway.exchange import Answer, Body
from kratos_gateway.headers import without_hop
from kratos_gateway.proxy.errors import GRPC, grpc_status, status_of

__all__ = ["Passing", "is_stream"]

_EVENTS: Final = b"text/event-stream"
_WEB: Final = b"application/grpc-web"
_BODILESS: Final = (204, 304)


def is_stream(answer: Answer) -> bool:
    """Tell whether an answer says that it goes on for as long as it likes."""
    for name, value in answer.headers:
        if name == b"content-type" and value.lower().startswith((_EVENTS, GRPC)):
            return True
        if name == b"x-accel-buffering" and value.lower() == b"no":
            return True
    return False


class Passing:
    """Passes one answer on, piece by piece as it comes.

    Args:
        head: Of the request.
        wire: Where it goes.
        sent: Counts the bytes of bodies that went.

    Attributes:
        started: Whether the client has the head of an answer.
    """

    __slots__ = ("_grpc", "_head", "_sent", "_wire", "started")

    def __init__(self, head: Head, wire: Wire, sent: Counter) -> None:
        self.started = False
        self._head = head
        self._wire = wire
        self._sent = sent
        self._grpc = False

    async def run(self, answer: Answer) -> None:
        """Pass an answer on, and close it.

        Raises:
            OSError: The node was lost before the answer had ended.
            Error: The client has gone.
            ValueError: A header cannot be sent.
        """
        body = answer.body
        if isinstance(body, bytes):
            await self._whole(answer, body)
            return
        try:
            await self._pieces(answer, body)
        finally:
            body.close()

    async def break_off(self, error: BaseException) -> None:
        """End an answer that has begun so that the client knows that it is not whole."""
        if self._grpc:
            try:
                await self._wire.finish(grpc_status(status_of(error)))
            except RuntimeError:  # it is shorter than the length that it announced
                self._wire.reset(Cause.PEER_GONE)
        elif isinstance(error, TimeoutError):
            self._wire.reset(Cause.DEADLINE)
        else:
            self._wire.reset(Cause.PEER_GONE)

    async def _whole(self, answer: Answer, body: bytes) -> None:
        head, wire = self._head, self._wire
        headers, trailers = answer.headers, answer.trailers
        if not body and self._is_call(answer) and not trailers:
            headers, trailers = _moved(headers)
        if head.method == "HEAD":
            if body and not answer.header(b"content-length"):  # middleware has made it
                headers = [*headers, (b"content-length", b"%d" % len(body))]
        elif answer.status not in _BODILESS:
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            if not trailers:
                headers.append((b"content-length", b"%d" % len(body)))
        self._start(answer, headers)
        if body:
            await wire.write(body)
            self._sent.inc(len(body))
        await wire.finish(trailers)

    async def _pieces(self, answer: Answer, body: Body) -> None:
        wire, headers = self._wire, answer.headers
        piece: bytes | None = None
        if self._is_call(answer) and any(name == b"grpc-status" for name, _ in headers):
            piece = await body.read()
            if not piece:
                headers, trailers = _moved(headers)
                self._start(answer, headers)
                await wire.finish(trailers)
                return
        self._start(answer, headers)
        if piece is None:
            piece = await body.read()
        while piece:
            await wire.write(piece)
            self._sent.inc(len(piece))
            piece = await body.read()
        await wire.finish(without_hop(body.trailers))

    def _start(self, answer: Answer, headers: list[tuple[bytes, bytes]]) -> None:
        self._wire.start(answer.status, headers)
        self.started = True
        self._grpc = self._is_call(answer)

    def _is_call(self, answer: Answer) -> bool:
        if self._head.version != "2":
            return False
        kind = answer.header(b"content-type")
        return kind.startswith(GRPC) and not kind.startswith(_WEB)  # which has no trailers


def _moved(
    headers: list[tuple[bytes, bytes]],
) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]:
    """Return the head and the trailers of an answer of gRPC that came as trailers alone.

    An engine ends a head in a frame of its own, and clients look for the status at the end.
    """
    if not any(name == b"grpc-status" for name, _ in headers):
        return headers, []
    stay = (b"content-type", b"content-length", b"date", b"server")
    trailers = [pair for pair in headers if pair[0] not in stay]
    return [pair for pair in headers if pair[0] in stay[:1]], trailers
