"""Configuration from a hash on Redis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from kratos.config import KeyValue, Source, format_of
from kratos.errors import ConfigError
from kratos.url import Options, Url, expand_env, parse_url
from kratos.watch import Versioned, Watcher
from kratos_redis import layout
from kratos_redis.asking import TIMEOUT, Changes, Line, WatchClient
from kratos_redis.connecting import Connected, connected
from kratos_redis.script import Script

__all__ = ["RedisSource"]

_LOOK_EVERY: Final = 30.0  # seconds

_PUT: Final = Script("""
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', 1, '*', 'name', ARGV[1])
return 1
""")

_REMOVE: Final = Script("""
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call('XADD', KEYS[2], 'MAXLEN', 1, '*', 'name', ARGV[1])
return 1
""")


class RedisSource:
    """A hash on Redis 5 or later: its fields are names of documents, its values the documents.

    The ending of a name is the format of its document: json, yaml, toml and so on. A name without
    an ending is a single value, under itself as a dotted key. Later names lie on top of earlier
    ones, in the order of their bytes. A hash that is not there says nothing.

    Changes that are told on the hash's stream, as ``put`` and ``remove`` do, are seen at once.
    Others, by hand for instance, are seen within ``look_every``.

    Args:
        client: A client of ``redis.asyncio``, or of a cluster, that does not decode responses. It
            stays the caller's. Each watcher takes one connection.
        path: The key of the hash.
        look_every: Seconds after which the hash is read again though nothing was told.
        timeout: The most seconds that a question waits for its answer, connecting included.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        client: WatchClient,
        path: str,
        *,
        look_every: float = _LOOK_EVERY,
        timeout: float = TIMEOUT,
    ) -> None:
        if not path:
            raise ConfigError("path is empty: give the key of the hash to read")
        if not 0 < look_every <= 86400:
            raise ConfigError(f"look_every={look_every!r} must be more than 0, and a day at most")
        self._keys = (path.encode(), layout.changes_of(path.encode()))
        self._name = f"Redis hash {path!r}"
        self._look_every = look_every
        self._timeout = timeout
        self._connect: Callable[[], Connected] = lambda: Connected(client)
        self._line(client)  # which says what is wrong with the time

    @classmethod
    def from_url(cls, url: str | Url) -> Self:
        """Return the source of a URL such as ``redis://host:port/0?path=config/orders``.

        Options are ``path``, ``look_every`` and ``timeout``, and those of every URL of Redis; see
        the README. Nothing is connected yet, and each watcher has a client of its own.

        Raises:
            ConfigError: The URL is malformed, or an option unknown or wrong.
        """
        parsed = parse_url(expand_env(url)) if isinstance(url, str) else url
        options = Options(parsed)
        client = connected(parsed, options).client
        path = options.text("path", default="")
        look_every = options.duration("look_every", default=_LOOK_EVERY)
        timeout = options.duration("timeout", default=TIMEOUT)
        options.finish()
        source = cls(client, path, look_every=look_every, timeout=timeout)
        source._name = str(parsed)
        source._connect = lambda: connected(parsed, Options(parsed))
        return source

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"RedisSource({self._name!r})"

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Return a watcher of the hash; nothing is asked before its first read."""
        connection = self._connect()
        line = self._line(connection.client)
        return _Watcher(Changes(line, *self._keys), connection, look_every=self._look_every)

    async def put(self, name: str, document: bytes, /) -> None:
        """Write a document, and tell those who watch.

        Raises:
            ConnectionError: Redis did not do it; it may have been done nevertheless.
        """
        await self._write(f"put {name}", _PUT, name.encode(), document)

    async def remove(self, name: str, /) -> bool:
        """Remove a document, and tell those who watch; return whether it was there.

        Raises:
            ConnectionError: Redis did not do it; it may have been done nevertheless.
        """
        return bool(await self._write(f"remove {name}", _REMOVE, name.encode()))

    async def _write(self, action: str, script: Script, *arguments: bytes) -> Any:
        connection = self._connect()
        try:
            line = self._line(connection.client)
            return await line.run(action, script, self._keys, arguments)
        finally:
            await connection.aclose()

    def _line(self, client: WatchClient) -> Line:
        return Line(client, name=self._name, timeout=self._timeout, error=ConnectionError)


class _Watcher:
    def __init__(self, changes: Changes, connection: Connected, *, look_every: float) -> None:
        self._changes = changes
        self._connection = connection
        self._look_every = look_every

    async def read(self) -> Versioned[Sequence[KeyValue]]:
        _, last, documents = await self._changes.read()
        return Versioned(value=tuple(map(_document, sorted(documents.items()))), token=last)

    async def changed(self, since: object, /) -> None:
        assert isinstance(since, bytes), "a token of read()"
        await self._changes.wait(since, self._look_every)

    async def aclose(self) -> None:
        self._changes.close()
        await self._connection.aclose()


def _document(item: tuple[bytes, bytes]) -> KeyValue:
    name = item[0].decode("utf-8", "replace")
    return KeyValue(key=name, value=item[1], format=format_of(name))


if TYPE_CHECKING:
    _source: type[Source] = RedisSource
