"""What operators do to the process: signals, flags of the log."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from kratos_gateway.hangup import hangups

PROGRAM = "from kratos_gateway.command import main; main()"
CONFIG = """
version: {}
endpoints: [{{path: /*, protocol: HTTP, backends: [{{target: '127.0.0.1:1'}}]}}]
"""


class Process:
    """The command as a process, and the lines of its log."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, *texts: str) -> str:
        """Read until each of some texts has come, in any order; return the last line of these."""
        assert self.process.stderr is not None
        waiting = set(texts)
        while True:
            line = (await self.process.stderr.readline()).decode()
            assert line, self.lines
            self.lines.append(line)
            waiting -= {text for text in waiting if text in line}
            if not waiting:
                return line


@asynccontextmanager
async def command(path: Path, *flags: str) -> AsyncGenerator[Process]:
    """Run the command on a port of its own."""
    arguments = ["-addr", "127.0.0.1:0", "-conf", str(path), *flags]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM, *arguments),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        async with asyncio.timeout(60):
            yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_sighup_has_the_configuration_looked_at_and_ends_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG.format("v1"), encoding="utf-8")
    async with command(path) as running:
        await running.until("is in force: version 'v1', 1 endpoints")
        await running.until("application started")
        path.write_text(CONFIG.format("v2"), encoding="utf-8")
        running.process.send_signal(signal.SIGHUP)
        # The file system may have told of the change before.
        await running.until(
            "SIGHUP: the configuration is looked at now", "is in force: version 'v2', 1 endpoints"
        )
        running.process.send_signal(signal.SIGTERM)
        await running.until("application stopped")
        assert await running.process.wait() == 0


async def test_sighup_is_told_while_it_is_listened_to_and_not_after() -> None:
    looks = asyncio.Event()
    before = signal.getsignal(signal.SIGHUP)
    async with hangups(looks.set):
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(10):
            await looks.wait()
    assert signal.getsignal(signal.SIGHUP) is before


async def test_lines_of_the_log_are_json_if_they_shall_be(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG.format("v1"), encoding="utf-8")
    async with command(path, "-log.format", "json", "-log.level", "info") as running:
        told = json.loads(await running.until("application started"))
        running.process.send_signal(signal.SIGTERM)
        await running.until("application stopped")
    assert (told["level"], told["name"]) == ("INFO", "gateway")
    assert all(json.loads(line) for line in running.lines)


async def test_a_level_alone_leaves_lines_of_the_log_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG.format("v1"), encoding="utf-8")
    async with command(path, "-log.level", "debug") as running:
        assert " INFO " in await running.until("application started")
        running.process.send_signal(signal.SIGTERM)
        await running.until("application stopped")
    assert not [line for line in running.lines if line.startswith("{")]


async def test_what_is_below_the_level_is_not_logged(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("endpoints: [{}]", encoding="utf-8")
    async with command(path, "-log.level", "error", "-log.format", "text") as running:
        await running.until("FATAL")
        await running.process.wait()
    assert not [line for line in running.lines if "INFO" in line]
