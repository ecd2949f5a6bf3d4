"""Copy requests to other back ends, whose answers nobody waits for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError
from kratos.limit import cancel_and_wait
from kratos.log import Level
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.mirror_pb2 import Mirror
from kratos_gateway.backend import WEBSOCKET
from kratos_gateway.exchange import Answer, Body, Handler, Middleware, Request, RequestOptions
from kratos_gateway.middleware.context import Context, Upstream
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain
from kratos_gateway.middleware.requests import with_body
from kratos_gateway.middleware.tee import Copied, Tee

__all__ = ["build"]

_BUFFERED: Final = 256 * 1024
_MARK: Final = (b"x-mirrored", b"true")


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what copies requests; the copy has ``x-mirrored: true``.

    Copied is the first attempt of a request. A body in pieces is copied as the back end takes it;
    who gets the copy never holds it up: where more would wait than may, the copy is given up.
    What becomes of a copy changes nothing; failures are logged at DEBUG, and
    ``kratos_gateway_mirror_copies`` counts what became of them.

    Raises:
        ConfigError: There is nobody to copy to, or the share is out of its range.
    """
    told = options_of(options, Mirror)
    if not told.endpoint.backends:
        raise ConfigError("mirror.endpoint has no backends")
    share = told.share or 1.0
    if not 0 < share <= 1:
        raise ConfigError(f"share must be more than 0 and at most 1, not {share:g}")
    copying = _Copying(told, share, context)

    def wrap(handler: Handler, _endpoint: Endpoint) -> Handler:
        async def handle(request: Request, /) -> Answer:
            return await handler(copying.copied(request))

        return handle

    return Plain(wrap, close=copying.aclose)


class _Copying:
    """Copies that are under way."""

    def __init__(self, told: Mirror, share: float, context: Context) -> None:
        self._endpoint: Final = told.endpoint
        self._share: Final = share
        self._most: Final = told.max_pending or 100
        self._buffered: Final = told.max_buffered or _BUFFERED
        self._timeout: Final = seconds_of(told.endpoint.timeout, name="endpoint.timeout") or 1.0
        self._logger: Final = context.logger
        self._pending: Final[set[asyncio.Task[None]]] = set()
        self._copies: Final = context.meter.counter(
            "kratos_gateway_mirror_copies",
            description="Copies of requests by what became of them",
            labels=("outcome",),
        )
        # Last, when nothing can be refused any more: whoever has it has to close it.
        self._upstream: Final[Upstream | None] = (
            None if context.upstream is None else context.upstream(told.endpoint)
        )

    def copied(self, request: Request) -> Request:
        """Send a copy, if there is to be one, and return the request to go on with."""
        values = request.options.values
        if self._upstream is None or self in values:
            return request
        values[self] = True
        if WEBSOCKET in values or random.random() >= self._share:
            return request
        if len(self._pending) >= self._most:
            self._count("busy")
            return request
        if isinstance(request.body, bytes):
            self._begin(self._sending(request, request.body, None))
            return request
        body = Copied(self._timeout)
        task = self._begin(self._sending(request, body, body))

        def ended(whole: bool) -> None:  # noqa: FBT001
            if not whole:
                task.cancel()

        return with_body(request, Tee(request.body, body, most=self._buffered, ended=ended))

    def _begin(self, sending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(sending)
        self._pending.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if task.cancelled():
            self._count("given_up")

    async def _sending(self, request: Request, body: bytes | Body, coming: Copied | None) -> None:
        assert self._upstream is not None, "looked at before"
        copy = replace(
            request,
            headers=[*request.headers, _MARK],
            body=body,
            options=RequestOptions(self._endpoint, last_attempt=True),
        )
        try:
            await self._answered(self._upstream, copy, coming)
            self._count("answered")
        except Exception as error:
            self._count("failed")
            fields: dict[str, object] = {"error": f"{type(error).__name__}: {error}"}
            self._logger.log(Level.DEBUG, "a copy of a request came to no answer", fields)
        finally:
            if coming is not None:
                coming.close()

    async def _answered(self, upstream: Upstream, copy: Request, coming: Copied | None) -> None:
        """Ask, and read the answer; the time limit counts from when the request is whole."""
        async with asyncio.timeout(None if coming else self._timeout) as limit:
            if coming is not None:
                loop = asyncio.get_running_loop()
                coming.on_end = lambda: limit.reschedule(loop.time() + self._timeout)
            answer = await upstream(copy)
            if isinstance(answer.body, bytes):
                return
            try:
                while await answer.body.read():
                    pass
            finally:
                answer.body.close()

    def _count(self, outcome: str) -> None:
        self._copies.labels(outcome).inc()

    async def aclose(self) -> None:
        await cancel_and_wait(*self._pending)
        if self._upstream is not None:
            await self._upstream.aclose()
