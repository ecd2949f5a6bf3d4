"""A store on Redis, for idempotency keys, cached replies and sessions of many processes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import ceil
from typing import Any, Final, Protocol, Self, TypeAlias

from redis.exceptions import ResponseError

from aegis import Backoff, Clock
from aegis.clock import SYSTEM_CLOCK
from kratos.errors import ConfigError, StoreFull, StoreUnavailable
from kratos.options import require_number
from kratos.store import Entry, check_entry
from kratos.url import Options, Url, expand_env, parse_url
from kratos_redis.circuit import NO_ANSWER, Circuit
from kratos_redis.connecting import Connected, connected
from kratos_redis.limiter import DEFAULT_BACKOFF
from kratos_redis.questions import questions_of
from kratos_redis.script import Client, Script
from kratos_redis.trouble import advice

__all__ = ["RedisStore", "StoreClient"]

_PREFIX: Final = "kratos:store:"
_TIMEOUT: Final = 0.5
_MILLISECONDS: Final = 1000
_Command: TypeAlias = "tuple[bytes | int | str, ...]"
_FULL: Final = ("OOM ", "command not allowed when used memory")

_REPLACE: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
""")

_DELETE: Final = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('DEL', KEYS[1])
""")


class StoreClient(Client, Protocol):
    """What is asked of a client: ``redis.asyncio.Redis`` and ``RedisCluster`` have it."""

    def get(self, name: bytes, /) -> Awaitable[Any]:
        """Return a value."""
        ...

    def set(self, name: bytes, value: bytes, /, *, px: int, nx: bool = False) -> Awaitable[Any]:
        """Keep a value."""
        ...

    def delete(self, name: bytes, /) -> Awaitable[Any]:
        """Forget a key."""
        ...

    def pipeline(self, *, transaction: bool) -> Any:
        """Return what takes commands and sends them together."""
        ...


class RedisStore:
    """A ``kratos.store.Store`` on Redis: one string per key, which expires by itself.

    Every method is one round trip; on a cluster, one for many keys is one to each node. If
    there is no answer within ``timeout``, it raises ``StoreUnavailable``, and so do the calls
    of the next moments, without asking: of ``backoff`` after the first failure, more after each
    further one. Then one call asks again. A Redis that has no memory left raises ``StoreFull``;
    give it ``maxmemory-policy noeviction`` if it keeps idempotency keys, which must not be
    dropped early.

    Args:
        client: A client of ``redis.asyncio``, or of a cluster, that does not decode responses;
            Redis 5 or later. It stays the caller's: ``aclose`` does not close it.
        prefix: What keys on Redis begin with.
        timeout: The most seconds that an operation waits for Redis.
        backoff: How long Redis is left alone after failures in a row.
        clock: Gives nanoseconds, for ``backoff``.
        random: Gives numbers of [0, 1), for ``backoff``.

    Raises:
        ConfigError: The time is none.
    """

    def __init__(
        self,
        client: StoreClient,
        *,
        prefix: str = _PREFIX,
        timeout: float = _TIMEOUT,
        backoff: Backoff = DEFAULT_BACKOFF,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = random.random,
    ) -> None:
        require_number("timeout", timeout, above=0, finite=True)
        self._client = client
        self._prefix = prefix
        self._timeout = timeout
        self._circuit = Circuit(backoff, clock=clock, random=random)
        self._questions = questions_of(client)
        self._connection = Connected(client)
        self._name = "Redis"

    @classmethod
    def from_url(cls, url: str | Url) -> Self:
        """Return a store with a client of its own, of a URL such as ``redis://host:port/0``.

        Options are ``prefix`` and ``timeout``, and those of every URL of Redis; see the README.
        Nothing is connected yet.

        Raises:
            ConfigError: The URL is malformed, or an option unknown or wrong.
        """
        parsed = parse_url(expand_env(url)) if isinstance(url, str) else url
        options = Options(parsed)
        connection = connected(parsed, options)
        prefix = options.text("prefix", default=_PREFIX)
        timeout = options.duration("timeout", default=_TIMEOUT)
        options.finish()
        store = cls(connection.client, prefix=prefix, timeout=timeout)
        store._connection = connection
        store._name = str(parsed)
        return store

    async def get(self, key: str, /) -> bytes | None:
        """See ``Store``."""
        value = await self._ask(self._client.get, self._key(key))
        if value is None or isinstance(value, bytes):
            return value
        raise ConfigError("a store needs a client of Redis without decode_responses")

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        """See ``Store``."""
        check_entry(value, ttl)
        await self._ask(self._set, self._key(key), value, ttl, False)

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        """See ``Store``."""
        check_entry(value, ttl)
        return bool(await self._ask(self._set, self._key(key), value, ttl, True))

    async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
        """See ``Store``."""
        check_entry(value, ttl)
        arguments = (expected, value, _milliseconds(ttl))
        return bool(await self._ask(_REPLACE.run, self._client, (self._key(key),), arguments))

    async def delete(self, key: str, /, *, expected: bytes | None = None) -> bool:
        """See ``Store``."""
        name = self._key(key)
        if expected is None:
            return bool(await self._ask(self._client.delete, name))
        return bool(await self._ask(_DELETE.run, self._client, (name,), (expected,)))

    async def get_many(self, keys: Sequence[str], /) -> Mapping[str, bytes]:
        """See ``kratos.store.BatchStore``."""
        values = await self._ask(self._together, [("GET", self._key(key)) for key in keys])
        found = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        if not all(isinstance(value, bytes) for value in found.values()):
            raise ConfigError("a store needs a client of Redis without decode_responses")
        return found

    async def set_many(self, entries: Mapping[str, Entry], /) -> None:
        """See ``kratos.store.BatchStore``."""
        commands: list[_Command] = []
        for key, (value, ttl) in entries.items():
            check_entry(value, ttl)
            commands.append(("SET", self._key(key), value, "PX", _milliseconds(ttl)))
        await self._ask(self._together, commands)

    async def aclose(self) -> None:
        """Close the client, if the store was made by ``from_url``; idempotent."""
        await self._connection.aclose()

    def _key(self, key: str) -> bytes:
        # Text of outside origin may hold lone surrogates, which clients refuse to encode.
        return (self._prefix + key).encode("utf-8", "surrogatepass")

    def _set(self, name: bytes, value: bytes, ttl: float, absent: bool) -> Awaitable[Any]:  # noqa: FBT001 - handed through
        return self._client.set(name, value, px=_milliseconds(ttl), nx=absent)

    async def _together(self, commands: Sequence[_Command]) -> Sequence[Any]:
        """Return the answers to commands that are sent together."""
        if not commands:
            return ()
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: Sequence[Any] = await pipeline.execute()
            return answers

    async def _ask(self, question: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Return what Redis answers.

        Raises:
            StoreUnavailable: It does not.
        """
        turn = self._circuit.ask()
        if turn is None:
            cause = self._circuit.error
            raise StoreUnavailable(
                f"{self._name} is not asked for a while, as it failed: {self._told(cause)}"
            ) from cause
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._questions.ask(question, *arguments)
        except NO_ANSWER as error:
            if isinstance(error, ResponseError) and str(error).startswith(_FULL):
                self._circuit.succeeded()  # it is there, and can be read
                raise StoreFull(f"Redis has no memory left: {error}") from error
            self._circuit.heard(error, turn)
            raise StoreUnavailable(f"{self._name} fails: {self._told(error)}") from error
        except BaseException:
            self._circuit.gave_up(turn)
            raise
        self._circuit.succeeded()
        return answer

    def _told(self, error: BaseException | None) -> str:
        if error is None or (isinstance(error, TimeoutError) and not str(error)):
            return f"no answer within {self._timeout:g} s"
        return advice(error)


def _milliseconds(ttl: float) -> int:
    return max(1, ceil(ttl * _MILLISECONDS))
