"""The talk of readers at a shelf."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bookshop.v1.bookshop_pb2 import Remark

from kratos.limit import cancel_and_wait
from kratos.transport import Send
from kratos_cli.demo.bookshop.broadcast import Broadcast

__all__ = ["Chat"]


class Chat:
    """Passes what a reader says on to all readers at the same shelf."""

    def __init__(self) -> None:
        self._said = Broadcast[Remark]()

    async def join(self, remarks: AsyncIterator[Remark], send: Send[Remark]) -> None:
        """Let one reader talk and listen, from the first remark until they leave."""
        first = await anext(remarks, None)
        if first is None:
            return
        with self._said.listen(first.shelf) as heard:
            self._said.publish(first.shelf, first)
            talking = asyncio.create_task(self._talk(first.shelf, remarks))
            listening = asyncio.create_task(_pass_on(heard, send))
            try:
                await asyncio.wait((talking, listening), return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancel_and_wait(talking, listening)
        for task in (talking, listening):
            if not task.cancelled():
                task.result()

    async def _talk(self, shelf: str, remarks: AsyncIterator[Remark]) -> None:
        async for remark in remarks:
            self._said.publish(shelf, remark)


async def _pass_on(heard: AsyncIterator[Remark], send: Send[Remark]) -> None:
    async for remark in heard:
        await send(remark)
