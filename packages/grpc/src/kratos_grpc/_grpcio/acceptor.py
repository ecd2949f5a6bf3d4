"""grpc.aio's server, accepting calls so that no path of a call ends it.

Since 1.84, grpc.aio decodes the path of a call in the loop that accepts calls, where nothing
catches what is no UTF-8. One such request ends the server, and with it every connection. Only
calls of methods that the core does not know are decoded: it compares the paths of registered
methods byte by byte. So every method that is served gets registered here, and accepted in a task
of its own. Calls of other methods are left to grpc.aio's loop, which names them in its answer,
until it has ended; then another task answers them all without a name.

No connection and no other call notices. Older versions decode inside the call, and are used as
they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
import grpc.aio

from kratos_grpc._grpcio.answer import Answer, is_familiar, parameters
from kratos_grpc.status import WireStatus

__all__ = ["acceptor"]

_cygrpc: Any = importlib.import_module("grpc._cython.cygrpc")
_private: Any = importlib.import_module("grpc.aio._server")

if TYPE_CHECKING:

    class _Server:
        """What grpc.aio shows of a server."""

    class _AioServer:
        """What is used of the class behind grpc.aio's."""

        def __init__(self, *arguments: object) -> None: ...
        def add_registered_method_handlers(self, handlers: dict[str, None]) -> None: ...
        def is_running(self) -> bool: ...
        def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]: ...
        async def _request_call(self) -> Any: ...
        async def _request_registered_call(self, method: bytes) -> Any: ...
        def _serving_task_crash_handler(self, task: asyncio.Task[None]) -> None: ...
        async def shutdown(self, grace: float | None) -> None: ...
        async def _start_shutting_down(self) -> None: ...

else:
    _Server = _private.Server
    _AioServer = _cygrpc.AioServer

_log = logging.getLogger("kratos.grpc")

# What the classes below build on, besides what they override.
_RequestCallError: Any = getattr(_cygrpc, "_RequestCallError", None)
_augmented: Any = getattr(_private, "_augment_channel_arguments", None)
_schedule_rpc: Any = getattr(_cygrpc, "_schedule_rpc_coro", None)
_finish_stream: Any = getattr(_cygrpc, "_finish_handler_with_stream_responses", None)
_Context: Any = getattr(_cygrpc, "_ServicerContext", None)
_install: Any = getattr(_cygrpc, "install_context_from_request_call_event_aio", None)
_uninstall: Any = getattr(_cygrpc, "uninstall_context", None)
_Details: Any = getattr(_cygrpc, "_HandlerCallDetails", None)
_SCHEDULE: Final = "rpc_coro rpc_state loop method_name"
_STREAM: Final = "rpc_state stream_handler request servicer_context loop"

_NAMELESS: Final = "/"
_DEFECT: Final = WireStatus(code=2, message="unknown request error")


def acceptor(
    router: grpc.GenericRpcHandler, paths: Collection[str], options: Sequence[tuple[str, Any]]
) -> grpc.aio.Server:
    """Make a server that is not listening yet.

    Args:
        router: Finds what serves a call.
        paths: All that it knows.
        options: Channel arguments.
    """
    if hasattr(_cygrpc.AioServer, "_make_request_call_future"):
        if _is_known():
            return cast("grpc.aio.Server", _Enduring(router, paths, options))
        _log.warning(
            "grpcio %s is new to kratos-grpc: a call whose path is no text may end the server",
            grpc.__version__,
        )
    return grpc.aio.server(handlers=(router,), options=options)


def _is_known() -> bool:
    """Tell whether grpc.aio's insides are those that the classes below build on."""
    return (
        parameters(_schedule_rpc) == _SCHEDULE.split()
        and parameters(_finish_stream) == _STREAM.split()
        and None not in (_RequestCallError, _augmented, _Context, _Details, _install, _uninstall)
        and is_familiar()
    )


class _Enduring(_Server):
    """A server whose listener is not ended by what peers send."""

    def __init__(
        self,
        router: grpc.GenericRpcHandler,
        paths: Collection[str],
        options: Sequence[tuple[str, Any]],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        arguments = _augmented(options, None)
        xds = (False,) if "xds" in inspect.signature(grpc.aio.server).parameters else ()
        self._server = _Acceptor(self._loop, None, [router], (), arguments, None, *xds)
        self._server.take(router, paths)


class _Acceptor(_AioServer):
    """The part of a server that accepts calls."""

    _accepting: set[asyncio.Task[None]]
    _calls: set[asyncio.Task[None]]
    _router: grpc.GenericRpcHandler
    _settled: asyncio.Event

    def take(self, router: grpc.GenericRpcHandler, paths: Collection[str]) -> None:
        """Accept calls of these paths; to be called once, before the start."""
        self._accepting = set()
        self._calls = set()
        self._settled = asyncio.Event()
        self._settled.set()
        self._router = router
        self.add_registered_method_handlers(dict.fromkeys(paths))

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[Any]:
        """Tell grpc.aio's loop of the next call; of registered methods it hears of none."""
        if method is None:
            return super()._make_request_call_future(None)
        self._begin(method)
        return asyncio.get_running_loop().create_future()

    def _serving_task_crash_handler(self, task: asyncio.Task[None]) -> None:
        """Go on where grpc.aio's loop has ended over a path."""
        fallen = not task.cancelled() and isinstance(task.exception(), UnicodeDecodeError)
        if fallen and self.is_running():
            _log.warning(
                "a peer called a path that is no text; calls of unknown operations are "
                "answered without their names from now on"
            )
            self._begin(None)
        else:
            super()._serving_task_crash_handler(task)

    async def shutdown(self, grace: float | None) -> None:
        """Stop; see grpc.aio. Callers enter one by one.

        One that waited for grpc.aio's lock until another had freed the core's server would go on
        to use it, and crash the process.
        """
        await self._settled.wait()
        await super().shutdown(grace)

    async def _start_shutting_down(self) -> None:
        self._settled.clear()
        try:
            with contextlib.suppress(Exception):  # wait_for_termination tells what matters of it
                await super()._start_shutting_down()
            if self._accepting:
                await asyncio.wait(self._accepting)  # the core has ended what they wait for
        finally:
            self._settled.set()

    def _begin(self, method: bytes | None) -> None:
        accepting = asyncio.get_running_loop().create_task(self._accept(method))
        self._accepting.add(accepting)
        accepting.add_done_callback(self._serving_task_crash_handler)

    async def _accept(self, method: bytes | None) -> None:
        """Accept calls until the server stops."""
        name = _NAMELESS if method is None else method.decode()
        while self.is_running():
            try:
                # Not kept in a variable: until the next call, which may never come.
                if method is None:
                    self._serve(name, await self._request_call())
                else:
                    self._serve(name, await self._request_registered_call(method))
            except _RequestCallError:
                continue  # the server stops, or the call ended before it was accepted

    def _serve(self, name: str, state: Any) -> None:
        loop = asyncio.get_running_loop()
        call = loop.create_task(self._handle(name, state, loop))
        self._calls.add(call)  # the loop alone would let it be collected
        call.add_done_callback(self._calls.discard)

    async def _handle(self, name: str, state: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Run one call, as grpc.aio's ``_handle_rpc`` would.

        That asks for interceptors, four kinds of handlers, and iterators of requests, of which
        there are none here.
        """
        context = _Context(state, None, None, loop)
        handler: Any = self._router.service(_Details(name, context.invocation_metadata()))
        if handler.response_streaming:
            running = _finish_stream(state, handler.stream_stream, None, context, loop)
            await _schedule_rpc(running, state, loop, name)
            return
        _install(state)  # what grpc's own plugins for tracing ask for
        answer = Answer(state, loop)
        try:
            await handler.answer(context, answer)
        except Exception:
            _log.exception("%s failed", name)
            await answer.send(status=_DEFECT)
        finally:
            _uninstall()
            answer.close()
            # Whoever keeps an error keeps the frames that it went through, and this in them: the
            # core would not end a connection, or a server, for as long.
            del state, context, handler
