"""The processes of the demo: started, listened to, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

from kratos_cli.demo.definitions import DESCRIPTORS
from kratos_cli.demo.journal import Entry

__all__ = ["Process", "StageError"]

_STOP_TIMEOUT = 10.0  # seconds
_JOURNAL_TIMEOUT = 5.0  # seconds


class StageError(Exception):
    """A service of the demo did not do its part."""


class Process:
    """One service as a process of its own.

    It lives as long as the context manager, and no longer than this process: its standard
    input ends with us, however we end.

    Args:
        name: Which service.
        registry: URL of the registry.
        generated: Folder of the generated packages.
    """

    def __init__(self, name: str, *, registry: str, generated: Path) -> None:
        self.name = name
        self._registry = registry
        self._generated = generated
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._entries: defaultdict[str, list[Entry]] = defaultdict(list)
        self._changed = asyncio.Event()

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._process is not None, "entered"
        return self._process.pid

    async def __aenter__(self) -> Self:
        roots = [str(self._generated), os.environ.get("PYTHONPATH", "")]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "kratos_cli.demo.service",
            self.name,
            self._registry,
            str(self._generated / DESCRIPTORS),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, roots))},
            start_new_session=True,  # Ctrl-C is ours to pass on, once
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> int:
        """Ask the process to end, and make it if it does not; return its exit code."""
        process, reading = self._process, self._reading
        assert process is not None, "entered"
        assert reading is not None, "entered"
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        await reading
        assert process.returncode is not None, "waited for"
        return process.returncode

    async def entries(self, call: str) -> list[Entry]:
        """Return what the process noted of a call, once it has served it.

        Raises:
            StageError: It noted nothing in time, or has ended.
        """
        try:
            async with asyncio.timeout(_JOURNAL_TIMEOUT):
                while not any(entry.side == "server" for entry in self._entries[call]):
                    if self._reading is None or self._reading.done():
                        raise StageError(f"{self.name} has ended")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            raise StageError(f"{self.name} noted nothing of call {call}") from error
        return self._entries.pop(call)

    async def ended(self) -> None:
        """Wait until the process ends by itself.

        Raises:
            StageError: Always, telling how it ended.
        """
        assert self._process is not None, "entered"
        code = await self._process.wait()
        raise StageError(f"{self.name} ended with exit code {code}")

    async def _read(self) -> None:
        assert self._process is not None, "entered"
        assert self._process.stdout is not None, "piped"
        async for line in self._process.stdout:
            entry = Entry.parse(line)
            self._entries[entry.call].append(entry)
            self._changed.set()
        self._changed.set()
