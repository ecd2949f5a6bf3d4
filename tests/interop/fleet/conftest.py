"""One service whose instances are processes of Go Kratos and of this implementation."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

PATIENCE: Final = 40.0  # seconds; what was killed goes with its ttl
MEMBER: Final = Path(__file__).with_name("member.py")
PYTHON: Final = "python"


class Member:
    """A process of fleet.go or of member.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._input = process.stdin
        self._output = process.stdout

    async def answered(self) -> dict[str, set[str]]:
        """Return who answers it, over each transport."""
        self._input.write(b"\n")
        line = await self._output.readline()
        assert line, f"it ended with {await self._process.wait()}"
        return {transport: set(ids) for transport, ids in json.loads(line).items()}

    async def sees(self, expected: set[str]) -> None:
        """Wait until everybody who is expected answers over both transports, and nobody else."""
        seen: dict[str, set[str]] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while seen != {"grpc": expected, "http": expected}:
                    seen = await self.answered()
        except TimeoutError:
            raise AssertionError(f"expected {expected}, saw {seen}") from None

    async def leave(self) -> None:
        """Let it stop as an application does."""
        self._input.close()
        assert await self._process.wait() == 0

    async def kill(self) -> None:
        """End it at once; no harm if it has ended."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@dataclass
class Fleet:
    """The members of one service in one registry.

    Attributes:
        go: What programs in Go are told of the registry: its address, and a namespace in it.
        url: What ours are told of it.
        built: Builds a program in Go.
    """

    go: tuple[str, str]
    url: str
    built: Callable[[str], Path]
    name: str = field(default_factory=lambda: f"fleet-{uuid4()}")
    members: dict[str, Member] = field(default_factory=dict[str, Member])

    async def start(self, kinds: Mapping[str, str]) -> None:
        """Start members by id, and wait until each is answered by all.

        Args:
            kinds: For each id ``python``, or the folder of a registry in Go.
        """
        pipe = asyncio.subprocess.PIPE
        for one, kind in kinds.items():
            if kind == PYTHON:
                words = [sys.executable, str(MEMBER), self.url, self.name, one]
            else:
                program = await asyncio.to_thread(self.built, kind)
                words = [str(program), *self.go, self.name, one]
            process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
            self.members[one] = Member(process)
        await self.agree()

    async def agree(self) -> None:
        """Wait until each of the members is answered by all of them, and by nobody else."""
        for member in self.members.values():
            await member.sees(set(self.members))

    async def leave(self, one: str) -> None:
        """Let a member stop as an application does, and wait until all others see that."""
        await self.members.pop(one).leave()
        await self.agree()

    async def kill(self, one: str) -> None:
        """Kill a member, and wait until all others see that."""
        await self.members.pop(one).kill()
        await self.agree()


@pytest.fixture
async def make_fleet(go_fleet: Callable[[str], Path]) -> AsyncIterator[Callable[..., Fleet]]:
    """Makes a ``Fleet``, whose members are ended after the test."""
    made: list[Fleet] = []

    def make(*, go: tuple[str, str], url: str) -> Fleet:
        made.append(Fleet(go=go, url=url, built=go_fleet))
        return made[-1]

    yield make
    for fleet in made:
        for member in fleet.members.values():
            await member.kill()
