"""WSGI applications as endpoints, in threads, bodies and answers in pieces (PEP 3333)."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar
from wsgiref.util import is_hop_by_hop

from kratos.errors import Error
from kratos.offload import Offload
from kratos.transport.cause import Cause
from kratos.transport.http import Head, Reply, Socket, Wire
from kratos_http._asgi_mount import Refuse
from kratos_http._format import has_body
from kratos_http._request_body import Upload
from kratos_http._sending import send
from kratos_http._wsgi_environ import Body, Environ, environ_of
from kratos_http._wsgi_spool import measured
from kratos_http.limits import Limits

__all__ = ["WsgiApplication", "WsgiEndpoint"]

T = TypeVar("T")

WsgiApplication: TypeAlias = Callable[[Environ, Any], Iterable[bytes]]
_ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None]"
_Pairs: TypeAlias = "list[tuple[bytes, bytes]]"

_EARLY: Final = 64 * 1024  # bytes of a body that are read before a thread is taken


class WsgiEndpoint:
    """A ``Streamed`` endpoint of a WSGI application.

    A thread runs it. Where it reads or writes, the thread waits for the peer; a peer that goes
    away fails that with ``OSError``. What the application returns is closed in any case. A body of
    unknown length, in chunks or decompressed on its way, is read before the application begins.

    Args:
        application: What answers.
        segments: How many segments of the path lead to it.
        pool: Its threads.
        max_body: Bytes of the largest body.
        limits: Of the server.
        refuse: Makes the answer to a body that breaks a limit.
    """

    def __init__(
        self,
        application: WsgiApplication,
        *,
        segments: int,
        pool: Offload,
        max_body: int,
        limits: Limits,
        refuse: Refuse,
    ) -> None:
        self._application = application
        self._segments = segments
        self._pool = pool
        self._max_body = max_body
        self._limits = limits
        self._refuse = refuse

    async def converse(self, head: Head, wire: Wire, /) -> None:
        """Run the application for one request.

        Raises:
            Error: 503 ``OFFLOAD_FULL``: too many requests wait for a thread; or the body breaks
                a limit before the application has begun.
            Exception: Whatever the application raises before its answer has begun.
        """
        upload = Upload(wire, head, limit=self._max_body, limits=self._limits)
        # Threads are few: none is to wait for the first pieces of a slow peer.
        early = await _begin(upload)
        exchange = _Exchange(wire, upload, early, lambda error: self._refuse(head, error))
        environ = environ_of(head, Body(exchange.read), segments=self._segments)
        exchange.bodiless = head.method == "HEAD"
        try:
            await self._pool.run(exchange.run, self._application, environ)
        except Exception:
            if exchange.gone or exchange.refused:
                return  # what it makes of that is of no interest
            if exchange.started:
                wire.reset(Cause.CALLER)
            raise
        finally:
            exchange.abandon()

    async def talk(self, head: Head, socket: Socket, /) -> None:
        """Refuse: WSGI knows no WebSockets."""
        error = Error(400, "BAD_REQUEST", "no WebSocket is served here")
        await socket.refuse(self._refuse(head, error))


async def _begin(upload: Upload) -> list[bytes]:
    """Return the first pieces of a body; the last one is empty if that was all."""
    pieces: list[bytes] = []
    size = 0
    while size < _EARLY:
        piece = await upload.read()
        pieces.append(piece)
        size += len(piece)
        if not piece:
            break
    return pieces


class _Exchange:
    """One request between an application in a thread and a wire on the event loop.

    Attributes:
        bodiless: Whether the answer has no body, as to ``HEAD``.
        started: Whether the answer has begun.
        refused: Whether the request was answered in place of the application.
        gone: Whether nobody waits for the application any more.
    """

    def __init__(
        self, wire: Wire, upload: Upload, early: list[bytes], refuse: Callable[[Error], Reply]
    ) -> None:
        self.bodiless = False
        self.started = False
        self.refused = False
        self.gone = False
        self._wire = wire
        self._upload = upload
        self._early = early[::-1]
        self._refuse = refuse
        self._loop = asyncio.get_running_loop()
        self._waiting: concurrent.futures.Future[Any] | None = None
        self._opening: tuple[int, _Pairs] | None = None
        self._single = False  # one piece is all there is

    # In the thread.

    def run(self, application: WsgiApplication, environ: Environ) -> None:
        """Run the application and send what it returns.

        Raises:
            RuntimeError: It breaks the protocol.
            OSError: The peer has gone.
            Exception: Whatever it raises.
        """
        if "CONTENT_LENGTH" not in environ and self._early != [b""]:
            with measured(environ, self.read):
                self._run(application, environ)
        else:
            self._run(application, environ)

    def _run(self, application: WsgiApplication, environ: Environ) -> None:
        result = application(environ, self.start_response)
        try:
            self._single = isinstance(result, Sequence) and len(result) == 1
            ended = False
            for piece in result:
                if piece:
                    self._write(piece, last=self._single)
                    ended = self._single
            if not ended:
                self._write(b"", last=True)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: _ExcInfo | None = None,
        /,
    ) -> Callable[[bytes], None]:
        """Note how the answer begins; it is sent with the first piece.

        Raises:
            RuntimeError: It was said already.
            ValueError: The status or a header is none, or is not the application's to send.
        """
        if exc_info is not None:
            try:
                if self.started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # it holds this frame
        elif self._opening is not None:
            raise RuntimeError("start_response was called twice without exc_info")
        code = status[:3]
        if not (code.isascii() and code.isdigit() and status[3:4] in ("", " ")):
            raise ValueError(f"{status!r} is no status: write '200 OK'")
        pairs: _Pairs = []
        for name, value in headers:
            if is_hop_by_hop(name):
                raise ValueError(f"header {name!r} is between server and peer: leave it out")
            pairs.append((name.lower().encode("latin-1"), value.encode("latin-1")))
        self._opening = (int(code), pairs)
        return self._write_now

    def read(self) -> bytes:
        """Return the next piece of the body, ``b""`` at its end.

        Raises:
            OSError: The peer has gone, or the body breaks a limit.
        """
        return self._early.pop() if self._early else self._await(self._read())

    def _write_now(self, data: bytes, /) -> None:
        if data:
            self._write(data, last=False)

    def _write(self, data: bytes, *, last: bool) -> None:
        if self._opening is None:
            raise RuntimeError("the application gave a body, or an end, without start_response")
        self._await(self._send(data, last=last))

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done on the event loop."""
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._waiting = waiting
        try:
            return waiting.result()
        except (concurrent.futures.CancelledError, Error) as error:
            raise BrokenPipeError(str(error) or "the request was cancelled") from error

    # On the event loop.

    def abandon(self) -> None:
        """Let the thread go on by itself: whatever it waits for fails."""
        self.gone = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _read(self) -> bytes:
        self._require_peer()
        try:
            return await self._upload.read()
        except Error as error:
            if not self.started and error.code in (400, 408, 413):
                self.started = self.refused = True
                await send(self._wire, self._refuse(error))
            raise

    async def _send(self, data: bytes, *, last: bool) -> None:
        self._require_peer()
        if self.refused:
            return
        wire = self._wire
        try:
            if not self.started:
                self._start(len(data) if last else None)
            if data:
                await wire.write(data)
            if last:
                await wire.finish()
        except Error:
            self.gone = True
            raise

    def _start(self, length: int | None) -> None:
        """Begin the answer.

        Args:
            length: Bytes of the body if they are known, for an application that does not say.
        """
        assert self._opening is not None, "checked in the thread"
        status, headers = self._opening
        said = any(name == b"content-length" for name, _ in headers)
        # Of what HEAD leaves out, nothing is known.
        known = length is not None and (length > 0 or not self.bodiless)
        if known and not said and has_body("GET", status):
            headers = [*headers, (b"content-length", b"%d" % (length or 0))]
        self._wire.start(status, headers)
        self.started = True

    def _require_peer(self) -> None:
        if self.gone:
            raise Cause.PEER_GONE.error()
