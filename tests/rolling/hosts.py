"""Supervisors of the service, and what is done to them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

__all__ = ["Host", "host"]

_SCRIPT: Final = Path(__file__).with_name("service.py")


class Host:
    """One supervisor with its workers."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log: list[str] = []

    async def told(self, text: str, *, or_fails: str | None = None) -> None:
        """Return when its log has a line with this text, and fail at one that rules it out."""
        assert self._process.stderr is not None
        while line := (await self._process.stderr.readline()).decode():
            self.log.append(line)
            if text in line:
                return
            if or_fails is not None and or_fails in line:
                raise AssertionError("".join(self.log))
        raise AssertionError(f"the log ended without {text!r}:\n{''.join(self.log)}")

    async def reload(self) -> None:
        """Replace its workers."""
        self._process.send_signal(signal.SIGHUP)
        await self.told("workers are replaced", or_fails="the reload ends here")

    async def terminate(self) -> int:
        """End it in order and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        _, errors = await self._process.communicate()
        self.log.append(errors.decode())
        assert self._process.returncode is not None
        return self._process.returncode


@asynccontextmanager
async def host(
    registry: str, *, drain_delay: float = 0.0, engine: str = "grpcio"
) -> AsyncGenerator[Host]:
    """Start a supervisor; it serves and is registered inside the block.

    It ends with this process, also where that is killed, as by the time limit of a test.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, _SCRIPT, registry, str(drain_delay), engine),
        stderr=asyncio.subprocess.PIPE,
    )
    made = Host(process)
    try:
        # Clients that were earlier would be told that there is no node.
        await made.told(" is held at ")
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
