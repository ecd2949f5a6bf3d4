"""One call: made, told, and held to what has to come of it."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from kratos import Error
from kratos.encoding.http_body import is_http_body
from kratos.transport import Arity, CallOptions, Method
from kratos_cli.demo.account import Account
from kratos_cli.demo.journal import CALL_ID
from kratos_cli.demo.stage import Process, StageError

__all__ = ["Guide", "Unary"]

Q = TypeVar("Q")
Q_contra = TypeVar("Q_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_TIMEOUT = 10.0  # seconds


class Unary(Protocol[Q_contra, R_co]):
    """A method of a client with one reply."""

    def __call__(
        self, request: Q_contra, /, *, options: CallOptions | None = None
    ) -> Awaitable[R_co]:
        """Make the call."""
        ...


class Guide:
    """Makes calls over one transport, and tells what came of them.

    Args:
        account: Where it is told.
        processes: The services by name.
        by: Name of the transport.
        ids: Gives each call another id.
    """

    def __init__(
        self, account: Account, processes: dict[str, Process], by: str, ids: itertools.count[int]
    ) -> None:
        self.account = account
        self.by = by
        self._processes = processes
        self._ids = ids

    async def call(
        self,
        method: Method[Any, Any],
        function: Unary[Q, R],
        request: Q,
        *,
        show: Callable[[R], str] = str,
        query: str = "",
    ) -> R:
        """Make a call that has to succeed, and return its one reply.

        Args:
            method: What is called.
            function: The client's method for it.
            request: What is asked.
            show: Tells of the reply.
            query: What the request adds to the path, to be shown.

        Raises:
            StageError: It failed.
        """
        return await self.follow(
            method, lambda options: function(request, options=options), show=show, query=query
        )

    async def refused(
        self,
        method: Method[Any, Any],
        function: Unary[Q, Any],
        request: Q,
        *,
        by: Callable[[Error], bool],
        query: str = "",
    ) -> Error:
        """Make a call that has to fail, and return the error.

        Args:
            method: What is called.
            function: The client's method for it.
            request: What is asked.
            by: Tells whether the error is the right one.
            query: What the request adds to the path, to be shown.

        Raises:
            StageError: It succeeded, or failed in another way.
        """
        step = self._step(method, query)
        try:
            reply = await function(request, options=step.options)
        except Error as error:
            await self._tell(step, f"{error.reason} {error.message}", code=error.code)
            if not by(error):
                raise StageError(f"{step} failed with another error: {error}") from error
            return error
        raise StageError(f"{step} has to fail, but answered {reply}")

    async def follow(
        self,
        method: Method[Any, Any],
        work: Callable[[CallOptions], Awaitable[R]],
        *,
        show: Callable[[R], str] = str,
        query: str = "",
    ) -> R:
        """Make a call of any kind that has to succeed, and return what the work returns.

        Args:
            method: What is called.
            work: Makes the call and sees to its end.
            show: Tells what came of it.
            query: What the request adds to the path, to be shown.

        Raises:
            StageError: It failed.
        """
        step = self._step(method, query)
        try:
            result = await work(step.options)
        except Error as error:
            raise StageError(f"{step} failed: {error}") from error
        await self._tell(step, show(result))
        return result

    def _step(self, method: Method[Any, Any], query: str) -> _Step:
        target = method.service.rpartition(".")[2].lower()
        what = _by_http(method, query) if self.by == "http" else _by_grpc(method)
        return _Step(what, target, str(next(self._ids)))

    async def _tell(self, step: _Step, answer: str, *, code: int = 200) -> None:
        ms = (time.perf_counter() - step.start) * 1000
        self.account.call("you", step.target, step.what, code=code, answer=answer, ms=ms)
        for entry in await self._processes[step.target].entries(step.call_id):
            if entry.side == "client":
                self.account.caused(entry)


class _Step:
    """A call that has begun."""

    def __init__(self, what: str, target: str, call_id: str) -> None:
        self.what = what
        self.target = target
        self.call_id = call_id
        self.options = CallOptions(headers={CALL_ID: call_id}, timeout=_TIMEOUT)
        self.start = time.perf_counter()

    def __str__(self) -> str:
        return f"{' '.join(self.what.split())} of the {self.target}"


def _by_http(method: Method[Any, Any], query: str) -> str:
    rule = method.http[0]
    path = re.sub(r"\{([\w.]+)=[^}]*\}", r"{\1}", rule.path)
    kind = "HTTP"
    if method.arity is Arity.BIDI_STREAM:
        kind = "WS"
    elif method.arity is Arity.SERVER_STREAM and not is_http_body(method.reply.DESCRIPTOR):
        kind = "SSE"
    return f"{kind:4} {rule.verb} {path}" + (f"?{query}" if query else "")


def _by_grpc(method: Method[Any, Any]) -> str:
    return f"gRPC {method.operation.rpartition('/')[2]}"
