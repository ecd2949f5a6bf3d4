"""The end of a call with one reply, in fewer steps than grpc.aio takes.

From the start of every call, grpc.aio listens for its peer's leaving: that takes a task, and one
more exchange with the core. But nothing can interrupt what does not wait. So here the listening
begins when the call first waits. One that never does hands the core everything at once, and
saves an eighth of the server's CPU time (``bench grpc``, case ``unary``).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import Any, Final

from kratos_grpc._metadata import Metadata
from kratos_grpc.status import WireStatus

__all__ = ["Answer", "is_familiar", "parameters"]

_cygrpc: Any = importlib.import_module("grpc._cython.cygrpc")

_execute: Any = getattr(_cygrpc, "execute_batch", None)
_watch: Any = getattr(_cygrpc, "_handle_cancellation_from_core", None)
_EXECUTE: Final = "grpc_call_wrapper operations loop"
_WATCH: Final = "rpc_task rpc_state loop"

_log = logging.getLogger("kratos.grpc")

_FINE: Final = WireStatus(code=0)
_NO_FLAGS: Final = 0
_UNCOMPRESSED: Final = 2  # GRPC_WRITE_NO_COMPRESS


class Answer:
    """How a call with one reply ends: its peer leaves, or gets the answer.

    Args:
        state: What grpc.aio knows of the call.
        loop: The running loop.

    Attributes:
        left: Whether the peer has left.
    """

    __slots__ = ("_loop", "_sent", "_state", "_task", "_watching", "left")

    def __init__(self, state: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._state = state
        self._loop = loop
        self._sent = False
        self.left = False
        self._task: asyncio.Task[Any] | None = None
        self._watching: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """From now on, have this task cancelled when the peer leaves. Idempotent."""
        if self._watching is None and not self._sent:
            self._task = asyncio.current_task()
            self._watching = self._loop.create_task(_watch(self, self._state, self._loop))

    async def send(
        self,
        reply: bytes | None = None,
        *,
        headers: Metadata = (),
        status: WireStatus = _FINE,
        trailers: Metadata = (),
        compress: bool = True,
    ) -> None:
        """Answer the call, once.

        Args:
            reply: The reply; ``None`` for none.
            headers: Sent before it.
            status: Whether it ended well; its details have to be among the trailers.
            trailers: Sent at last.
            compress: Whether the reply may be compressed.
        """
        self._sent = True
        operations = _operations(reply, headers, status, trailers, compress=compress)
        if self._watching is None:
            operations.append(_cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS))
        try:
            await _execute(self._state, tuple(operations), self._loop)
        except _cygrpc.ExecuteBatchError as failure:
            refused = "start_batch" in str(failure)  # what no peer can bring about
            level = logging.ERROR if refused else logging.DEBUG
            _log.log(level, "the answer did not reach the peer: %s", failure)

    def close(self) -> None:
        """Let go of the task, which keeps the error that it ended with, which keeps this."""
        self._sent = True
        self._state = self._task = self._watching = None  # the core keeps what still waits for it

    def done(self) -> bool:
        """Tell whether a cancellation comes too late (for grpc.aio, which asks tasks)."""
        return self._sent or self._task is None or self._task.done()

    def cancel(self) -> None:
        """Cancel the task that runs the call (for grpc.aio)."""
        self.left = True
        if self._task is not None:
            self._task.cancel()


def is_familiar() -> bool:
    """Tell whether grpc.aio's insides are those that this module builds on."""
    if parameters(_execute) != _EXECUTE.split() or parameters(_watch) != _WATCH.split():
        return False
    try:
        _operations(b"", (), _FINE, (), compress=False)
        _cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS).cancelled  # noqa: B018
    except (AttributeError, TypeError):
        return False
    return hasattr(_cygrpc, "ExecuteBatchError")


def parameters(function: Any) -> list[str]:
    """Return the names of a function's parameters; none for what is no function."""
    code = getattr(function, "__code__", None)
    return [] if code is None else list(code.co_varnames[: code.co_argcount])


def _operations(
    reply: bytes | None,
    headers: Metadata,
    status: WireStatus,
    trailers: Metadata,
    *,
    compress: bool,
) -> list[Any]:
    operations = [_cygrpc.SendInitialMetadataOperation(headers, _NO_FLAGS)]
    if reply is not None:
        flags = _NO_FLAGS if compress else _UNCOMPRESSED
        operations.append(_cygrpc.SendMessageOperation(reply, flags))
    operations.append(
        _cygrpc.SendStatusFromServerOperation(trailers, status.code, status.message, _NO_FLAGS)
    )
    return operations
