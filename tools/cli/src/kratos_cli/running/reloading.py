"""Serving anew whenever the sources change."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from kratos.limit import cancel_and_wait
from kratos_cli.events import Events
from kratos_cli.failure import CommandFailure
from kratos_cli.running.changes import Changes
from kratos_cli.running.regenerating import regenerate

__all__ = ["Reloading"]

_GRACE: Final = 30.0  # seconds for the old process to end
_ASKED: Final = (signal.SIGTERM, signal.SIGINT)
_HATCHW: Final = "KRATOS_HATCHW"
_LOOKS: Final = 0.5  # seconds between looks for that process


class Reloading:
    """A process that serves, started again after each change of the sources.

    The old process is ended in order before the new one starts. One that ends by itself with a
    failure is started again by the next change, and definitions that are wrong leave the old one
    running.

    Args:
        command: What ``kratos_cli.running.child`` takes.
        folder: Of the project.
        generate: Command that generates, in place of what the output tells; empty for none,
            ``None`` for what the output tells.
        tell: Told what happens, in words.
        events: Told the same, for programs.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        generate: str | None,
        tell: Callable[[str], None],
        events: Events | None = None,
    ) -> None:
        self._command = command
        self._folder = folder
        self._generate = generate
        self._tell = tell
        self._events = events or Events()
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: int | None = None

    async def run(self) -> int:
        """Serve until a signal comes, and return the exit status of the last process.

        Where ``hatchw`` has started this, it serves no longer than that runs.

        Cancellation: ends the process in order.
        """
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _ASKED:
            loop.add_signal_handler(number, stopping.set)
        asked = asyncio.create_task(stopping.wait())
        tied = [asyncio.create_task(_outlive(hatchw, stopping))] if (hatchw := _hatchw()) else []
        try:
            with Changes(self._folder) as changes:
                return await self._follow(changes, asked)
        finally:
            await cancel_and_wait(asked, *tied)
            await self._end()
            for number in _ASKED:
                loop.remove_signal_handler(number)

    async def _follow(self, changes: Changes, asked: asyncio.Task[object]) -> int:
        await self._start()
        while True:
            changed = await self._wait(changes, asked)
            if not isinstance(changed, frozenset):
                return changed
            self._tell(_summary(changed, self._folder))
            self._events.tell("changed", files=_names(changed, self._folder))
            if any(path.suffix == ".proto" for path in changed):
                if not await self._regenerated(changed):
                    continue
                changed |= changes.forget_code()
            await self._end()
            _forget_compiled(changed)
            await self._start()

    async def _wait(self, changes: Changes, asked: asyncio.Task[object]) -> frozenset[Path] | int:
        """Return what has changed, or the exit status when it is over."""
        change = asyncio.create_task(changes.next())
        try:
            while True:
                process = self._process
                waited: set[asyncio.Task[object]] = {asked, change}
                ended = None if process is None else asyncio.create_task(process.wait())
                try:
                    await asyncio.wait(
                        waited if ended is None else {*waited, ended},
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                finally:
                    if ended is not None:
                        await cancel_and_wait(ended)
                if asked.done():
                    return await self._end()
                if change.done():
                    return change.result()
                status = await self._end()
                if status == 0:
                    return 0
                self._tell(f"it ended with {status}; waiting for the next change")
                self._events.tell("ended", status=status)
        finally:
            await cancel_and_wait(change)

    async def _start(self) -> None:
        reading, self._pipe = os.pipe()
        module = "kratos_cli.running.child"
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, str(reading), *self._command),
                pass_fds=(reading,),
                start_new_session=True,  # Ctrl-C reaches it once, from here
                stdout=self._output(own=self._command[0] == "-m"),
            )
        finally:
            os.close(reading)

    def _output(self, *, own: bool) -> int | None:
        """Return where a process writes: what tells no events must not write among them."""
        return sys.stderr.fileno() if own and self._events.told else None

    async def _end(self) -> int:
        """End the process in order if it runs, and return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        running = process.returncode is None
        if running:
            with suppress(ProcessLookupError):  # it ends at this very moment
                process.terminate()
            try:
                async with asyncio.timeout(_GRACE):
                    await process.wait()
            except TimeoutError:
                self._tell(f"it has not ended within {_GRACE:g} s, and is killed")
                process.kill()
                await process.wait()
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        if running and process.returncode == -signal.SIGTERM:
            return 0  # it was still starting, and had no order to keep
        return process.returncode or 0

    async def _regenerated(self, changed: frozenset[Path]) -> bool:
        """Generate from changed definitions; return whether that went well."""
        if self._generate == "":
            return True
        if self._generate is not None:
            command = shlex.split(self._generate)
            done = await asyncio.create_subprocess_exec(
                *command, cwd=self._folder, stdout=self._output(own=True)
            )
            status = await done.wait()
            if status:
                self._tell(f"{command[0]} ended with {status}; waiting for the next change")
                self._events.tell("not_generated", reason=f"{command[0]} ended with {status}")
            return status == 0
        try:
            written = await asyncio.to_thread(regenerate, self._folder, changed)
        except CommandFailure as failure:
            self._tell(f"{failure}; what was served is served on")
            self._events.tell("not_generated", reason=str(failure))
            return False
        for path in written:
            self._tell(f"generated {path.relative_to(self._folder)}")
        self._events.tell("generated", files=_names(written, self._folder))
        return True


def _hatchw() -> int | None:
    """Return the process that ``hatchw`` has become; it waits for this one, and passes nothing on.

    One of another session is none: what has left a terminal is to stay, and a number may be old.
    """
    told = os.environ.pop(_HATCHW, "")  # it is no concern of the service's
    if not told.isdecimal():
        return None
    try:
        known = os.getsid(int(told)) == os.getsid(0)
    except (OSError, OverflowError):
        return None
    return int(told) if known else None


async def _outlive(process: int, over: asyncio.Event) -> None:
    """Set an event when a process is gone, which is nobody's child here, so nobody tells."""
    with suppress(OSError):  # also where its number is somebody else's by now
        while True:
            os.kill(process, 0)
            await asyncio.sleep(_LOOKS)
    over.set()


def _forget_compiled(paths: Iterable[Path]) -> None:
    """Remove what Python keeps of modules that have changed.

    It takes a source of the same size that was written in the same second for the same one.
    """
    for path in paths:
        if path.suffix == ".py":
            with suppress(OSError, NotImplementedError):  # none is kept, or not by this Python
                Path(cache_from_source(str(path))).unlink()


def _summary(changed: frozenset[Path], folder: Path) -> str:
    names = _names(changed, folder)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more} changed"


def _names(paths: Iterable[Path], folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in paths)
