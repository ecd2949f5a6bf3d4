"""Files that a control service writes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kratos.limit import cancel_and_wait
from kratos_gateway.config import Documents, Reader
from kratos_gateway.control import ControlService

__all__ = ["ControlledReader"]


class ControlledReader:
    """Reads what another reads, after a control service was asked to write it.

    What is there is read, too, if no control service answers.

    Args:
        reader: Reads the files.
        control: Writes them.
    """

    def __init__(self, reader: Reader, control: ControlService) -> None:
        self._reader = reader
        self._control = control
        self._written = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        self._asked = False

    def __str__(self) -> str:
        return str(self._reader)

    async def read(self) -> Documents:
        """Return the present texts, the first time those that are told now; see ``Reader``."""
        if not self._asked:
            await self._control.ask()
            self._asked = True
        return await self._reader.read()

    async def changed(self) -> None:
        """Return when they were written; see ``Reader``. Asks meanwhile, until ``aclose``."""
        if self._asking is None:
            self._asking = asyncio.create_task(
                self._control.run(self._written.set), name="kratos-gateway-control"
            )
        await self._written.wait()
        self._written.clear()

    async def aclose(self) -> None:
        """Ask no more; see ``Reader``."""
        asking, self._asking = self._asking, None
        if asking is not None:
            await cancel_and_wait(asking)
        await self._control.aclose()
        await self._reader.aclose()


if TYPE_CHECKING:
    _reader: type[Reader] = ControlledReader
