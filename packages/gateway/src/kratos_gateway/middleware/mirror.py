"""Copy requests to other back ends, whose answers nobody waits for."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Final

from google.protobuf.any_pb2 import Any as AnyMessage

from kratos.errors import ConfigError, Error
from kratos.limit import cancel_and_wait
from kratos.log import Level
from kratos_gateway.api.gateway_pb2 import Endpoint
from kratos_gateway.api.mirror_pb2 import Mirror
from kratos_gateway.exchange import Answer, Handler, Middleware, Request, RequestOptions
from kratos_gateway.middleware.context import Context, Upstream
from kratos_gateway.middleware.options import options_of, seconds_of
from kratos_gateway.middleware.plain import Plain

__all__ = ["build"]

_MARK: Final = (b"x-mirrored", b"true")


def build(options: AnyMessage | None, context: Context, /) -> Middleware:
    """Make what copies requests; the copy has ``x-mirrored: true``.

    Copied is the first attempt of a request whose body is whole when it begins, which those up to
    64 KiB are. What becomes of a copy changes nothing; failures are logged at DEBUG.

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
            copying.copy(request)
            return await handler(request)

        return handle

    return Plain(wrap, close=copying.aclose)


class _Copying:
    """Copies that are under way."""

    def __init__(self, told: Mirror, share: float, context: Context) -> None:
        self._endpoint: Final = told.endpoint
        self._share: Final = share
        self._most: Final = told.max_pending or 100
        self._timeout: Final = seconds_of(told.endpoint.timeout, name="endpoint.timeout") or 1.0
        self._logger: Final = context.logger
        self._pending: Final[set[asyncio.Task[None]]] = set()
        # Last, when nothing can be refused any more: whoever has it has to close it.
        self._upstream: Final[Upstream | None] = (
            None if context.upstream is None else context.upstream(told.endpoint)
        )

    def copy(self, request: Request) -> None:
        """Send a copy, if there is to be one; nothing waits for it."""
        values, upstream = request.options.values, self._upstream
        if upstream is None or self in values:
            return
        values[self] = True
        body = request.body
        is_whole = isinstance(body, bytes) and not request.header(b"sec-websocket-key")
        if not is_whole or len(self._pending) >= self._most or random.random() >= self._share:
            return
        copy = replace(
            request,
            headers=[*request.headers, _MARK],
            options=RequestOptions(self._endpoint, last_attempt=True),
        )
        task = asyncio.create_task(self._send(copy, upstream))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _send(self, copy: Request, upstream: Upstream) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                answer = await upstream(copy)
                if not isinstance(answer.body, bytes):
                    try:
                        while await answer.body.read():
                            pass
                    finally:
                        answer.body.close()
        except (OSError, TimeoutError, Error) as error:
            fields: dict[str, object] = {"error": f"{type(error).__name__}: {error}"}
            self._logger.log(Level.DEBUG, "a copy of a request came to no answer", fields)

    async def aclose(self) -> None:
        await cancel_and_wait(*self._pending)
        if self._upstream is not None:
            await self._upstream.aclose()
