"""The way of the registry and of configuration to Redis: limits on waits, errors with advice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any, Final, Protocol, TypeAlias

from redis.exceptions import RedisClusterException, RedisError

from kratos.errors import ConfigError
from kratos.options import require_number
from kratos_redis.questions import questions_of
from kratos_redis.script import Client, Script
from kratos_redis.trouble import advice

__all__ = ["TIMEOUT", "Changes", "Entry", "Line", "WatchClient"]

Entry: TypeAlias = "tuple[bytes, dict[bytes, bytes]]"
"""Of a stream: its place, and what it says."""

TIMEOUT: Final = 3.0
_MANY: Final = 100  # entries at once
_FAILURES: Final = (RedisError, RedisClusterException, OSError)
_PART: Final = (
    0.5  # of the limit that the client has itself, so that a quiet wait ends well before it
)

# The time of the server, how far the stream is, and the hash, all of one moment.
_READ: Final = Script("""
local time = redis.call('TIME')
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {now, last and last[1] or '0-0', redis.call('HGETALL', KEYS[1])}
""")


class WatchClient(Client, Protocol):
    """What is asked of a client: ``redis.asyncio.Redis`` and ``RedisCluster`` have it."""

    def mget(self, keys: Sequence[bytes], /) -> Awaitable[Any]:
        """Return the values of keys that are of one slot."""
        ...

    def xread(self, streams: dict[Any, Any], *, count: int, block: int) -> Awaitable[Any]:
        """Wait for entries of streams behind those that are given."""
        ...


class Line:
    """A client, with a limit of time for each question, and errors that say what to do.

    Args:
        client: Who is asked.
        name: What is connected to, for errors.
        timeout: The most seconds that a question waits for its answer, connecting included.
        error: What is raised when there is none.

    Attributes:
        client: Who is asked.
        timeout: As given.
        longest: Seconds that one question may wait for something to happen.
        error: As given.
        name: As given.

    Raises:
        ConfigError: The time is none.
    """

    def __init__(
        self, client: WatchClient, *, name: str, timeout: float, error: type[Exception]
    ) -> None:
        require_number("timeout", timeout, above=0, finite=True)
        self.client = client
        self.timeout = timeout
        self.longest = _PART * _limit_of(client)
        self.error = error
        self.name = name
        self._questions = questions_of(client)

    async def ask(
        self, action: str, question: Callable[..., Awaitable[Any]], *arguments: Any
    ) -> Any:
        """Return the answer of ``question(*arguments)``.

        Raises:
            Exception: There is none. It is of the class ``error``, and its text says that Redis
                did not do ``action``, and why.

        Cancellation: what was asked may have been done.
        """
        async with self.limited(action, asyncio.timeout(self.timeout)):
            return await self._questions.ask(question, *arguments)

    async def run(
        self, action: str, script: Script, keys: Sequence[bytes], arguments: Sequence[Any] = ()
    ) -> Any:
        """Return what a script returns; see ``ask``."""
        return await self.ask(action, script.run, self.client, keys, arguments)

    async def listen(self, stream: bytes, since: bytes, seconds: float) -> list[Entry]:
        """Return what a stream has behind ``since``, when it has something, or after ``seconds``.

        Raises:
            RedisError, OSError: As the client.
        """
        block = max(1, round(seconds * 1000))  # milliseconds, of which 0 would be for ever
        read = self.client.xread
        reply = await self._questions.ask(lambda: read({stream: since}, count=_MANY, block=block))
        return _entries(reply)

    @asynccontextmanager
    async def limited(self, action: str, limit: asyncio.Timeout) -> AsyncGenerator[None]:
        """Let what a client raises be told in words; ``limit`` ends the block."""
        try:
            async with limit:
                yield
        except _FAILURES as error:
            if limit.expired() and isinstance(error, TimeoutError):
                # A server without TLS waits for the end of what it takes for a command.
                doubt = "; does it speak TLS there?" if self.name.startswith("rediss") else ""
                reason = f"no answer within {self.timeout:g} s{doubt}"
            else:
                reason = advice(error)
            raise self.error(f"{self.name} did not {action}: {reason}") from error


class Changes:
    """A hash, and the stream that tells when it changes; one reader at a time.

    Args:
        line: Who is asked.
        key: The key of the hash.
        stream: The key of the stream.
    """

    def __init__(self, line: Line, key: bytes, stream: bytes) -> None:
        self._line = line
        self._keys = (key, stream)
        self._name = key.decode("utf-8", "replace")
        self._limit: asyncio.Timeout | None = None
        self._closed = False

    async def read(self) -> tuple[int, bytes, dict[bytes, bytes]]:
        """Return the server's time in milliseconds, how far the stream is, and the hash."""
        self._check_open()
        reply = await self._line.run(f"read {self._name}", _READ, self._keys)
        now, last, pairs = reply
        if not isinstance(last, bytes):
            raise ConfigError("this needs a client of Redis without decode_responses")
        return now, last, dict(zip(pairs[::2], pairs[1::2], strict=True))

    async def wait(self, since: bytes, seconds: float) -> list[Entry]:
        """Return what the stream tells behind ``since``; nothing after ``seconds``, or earlier.

        It is one request, which Redis answers when there is something to tell.
        """
        self._check_open()
        seconds = min(seconds, self._line.longest)
        limit = self._limit = asyncio.timeout(seconds + self._line.timeout)
        try:
            async with self._line.limited(f"tell of changes of {self._name}", limit):
                return await self._line.listen(self._keys[1], since, seconds)
        except self._line.error:
            self._check_open()  # which is why it ended, then
            raise
        finally:
            self._limit = None

    def close(self) -> None:
        """End a pending wait; idempotent."""
        self._closed = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())

    def _check_open(self) -> None:
        if self._closed:
            raise self._line.error(f"the watcher of {self._name} is closed")


def _entries(reply: Any) -> list[Entry]:
    """Return what XREAD tells of one stream."""
    if not reply:
        return []
    # Of protocol 2 a list, of 3 a dictionary, in some versions of redis-py with a list in between.
    found: Any = next(iter(reply.values())) if hasattr(reply, "values") else reply[0][1]
    entries: Any = found if isinstance(found[0], tuple) else found[0]
    return list(entries)


def _limit_of(client: Any) -> float:
    """Return the seconds after which a client gives up an answer by itself."""
    settings = getattr(getattr(client, "connection_pool", client), "connection_kwargs", {})
    return settings.get("socket_timeout") or inf
