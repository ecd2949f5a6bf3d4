"""Callers that never pause, and what becomes of their calls and streams."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.wrappers_pb2 import StringValue

from kratos import Client, Error
from kratos.testing.echo import ECHO, WATCH, text
from kratos.transport import Method
from kratos_grpc import GrpcConnector

__all__ = ["Amount", "Tally", "load"]

REPEATABLE: Final = dataclasses.replace(ECHO, idempotent=True)
_PATIENCE: Final = 60.0  # seconds; on a busy machine a call may take some


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much load there is.

    Attributes:
        clients: How many there are, each with connections of its own.
        calls: Calls in flight, of each client.
        streams: Open streams, of each client.
        repeatable: Whether calls may be sent again if it is not known what became of them.
    """

    clients: int = 4
    calls: int = 4
    streams: int = 1
    repeatable: bool = False


class Tally:
    """What was answered, and how the rest ended.

    Attributes:
        answered: Calls, by the process that answered.
        failed: Calls, by what the caller was told.
        streams: Streams that were open, by how they ended.
    """

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.streams: Counter[str] = Counter()
        self._opened = 0
        self._over = asyncio.Event()
        self._more = asyncio.Event()

    def end(self) -> None:
        """Have callers stop with their present call."""
        self._over.set()

    async def more(self, calls: int) -> None:
        """Return when so many calls more were answered, and a stream is open, or was.

        Raises:
            AssertionError: A call has failed.
        """
        enough = self.answered.total() + calls
        while self.answered.total() < enough or not self._opened:
            assert not self.failed, f"calls fail: {dict(self.failed)}"
            self._more.clear()
            await self._more.wait()

    async def call(self, client: Client, method: Method[StringValue, StringValue]) -> None:
        """Call one time after the other."""
        while not self._over.is_set():
            try:
                answer = await client.unary(method, text("who"))
            except Error as error:
                self._count(self.failed, _told(error))
            else:
                self._count(self.answered, answer.value)

    async def stream(self, client: Client) -> None:
        """Open one stream after the other."""
        while not self._over.is_set():
            opened = False
            try:
                async with client.server_stream(WATCH, text("who")) as replies:
                    async for _ in replies:
                        self._opened += not opened
                        opened = True
                        if self._over.is_set():
                            return
            except Error as error:
                how = _told(error) if opened else f"unopened: {_told(error)}"
                self._count(self.streams, how)
            else:
                self._count(self.streams, "as if it were complete")

    def _count(self, counter: Counter[str], what: str) -> None:
        counter[what] += 1
        self._more.set()


@asynccontextmanager
async def load(
    transport: str, registry: str, amount: Amount, *, engine: Any = "grpcio"
) -> AsyncGenerator[Tally]:
    """Call and stream without a pause inside the block."""
    tally = Tally()
    method = REPEATABLE if amount.repeatable else ECHO
    connector = GrpcConnector(engine=engine) if transport == "grpc" else transport
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as running:
        for _ in range(amount.clients):
            client = Client(
                "discovery:///rolling", transport=connector, discovery=registry, timeout=_PATIENCE
            )
            await stack.enter_async_context(client)
            for _ in range(amount.calls):
                running.create_task(tally.call(client, method))
            for _ in range(amount.streams):
                running.create_task(tally.stream(client))
        try:
            yield tally
        finally:
            tally.end()


def _told(error: Error) -> str:
    return f"{error.code} {error.reason}"
