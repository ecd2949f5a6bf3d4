"""A store on memcached: one server, or several among which a ring shares the keys."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from math import ceil
from typing import Final, Self

from aegis import Backoff, Clock, Ring
from aegis.clock import SYSTEM_CLOCK
from kratos.errors import ConfigError, StoreUnavailable
from kratos.options import require_number
from kratos.store import Entry, check_entry
from kratos.tls import Rotation, client_context, client_tls_of
from kratos.url import Options, Url, expand_env, parse_url
from kratos_memcached.replies import Item, Reply
from kratos_memcached.server import Login, Server, TlsOf

__all__ = ["MemcachedStore"]

_PORT: Final = 11211
_PREFIX: Final = "kratos:store:"
_TIMEOUT: Final = 0.5
_BACKOFF: Final = Backoff(base=0.1, cap=5.0)
_POINTS: Final = 160  # of each server on the ring
_LONGEST: Final = 250  # bytes of a key
_HASHED: Final = "#"
_LINES: Final = frozenset(
    {b"STORED", b"NOT_STORED", b"EXISTS", b"NOT_FOUND", b"DELETED"}
)  # that answer commands
_MONTH: Final = 30 * 24 * 3600  # seconds; memcached takes more for a date
_KEYS_AT_ONCE: Final = 200  # of one command


class MemcachedStore:
    """A ``kratos.store.Store`` on memcached: one item per key, which expires by itself.

    For what may be lost: memcached drops items when it needs room, and all when it restarts. Its
    clock counts whole seconds, so an entry stays up to two seconds longer than its ``ttl``, and
    never shorter.

    With several servers, a consistent ring says which one has a key; all clients name them in the
    same order. One that does not answer within ``timeout`` raises ``StoreUnavailable``, and so do
    the calls of the next moments, without asking: of ``backoff`` after the first failure, more
    after each further one. Then one call asks again.

    Args:
        servers: Each as ``host:port``, or ``host``, whose port is 11211.
        prefix: What keys on memcached begin with.
        timeout: The most seconds that an operation waits for a server.
        backoff: How long a server is left alone after failures in a row.
        login: User and password, for servers with ``-Y``, which ask in the text protocol.
        tls: Returns the context of new connections; ``None`` without TLS.
        clock: Gives nanoseconds, for ``backoff``.
        wall: Gives seconds since the epoch, for times of more than 30 days.
        random: Gives numbers of [0, 1), for ``backoff``.

    Raises:
        ConfigError: There is no server, or one twice, or the time or the prefix is none.
    """

    def __init__(
        self,
        *servers: str,
        prefix: str = _PREFIX,
        timeout: float = _TIMEOUT,
        backoff: Backoff = _BACKOFF,
        login: Login | None = None,
        tls: TlsOf | None = None,
        clock: Clock = SYSTEM_CLOCK,
        wall: Callable[[], float] = time.time,
        random: Callable[[], float] = random.random,
    ) -> None:
        require_number("timeout", timeout, above=0, finite=True)
        if not _is_plain(prefix.encode()) or len(prefix.encode()) > _LONGEST // 2:
            raise ConfigError(
                f"prefix={prefix!r} has to be short, and without spaces and control characters"
            )
        self._prefix = prefix
        self._wall = wall
        self._servers: dict[str, Server] = {}
        for address in servers:
            host, port = _host_of(address)
            server = Server(
                host,
                port,
                timeout=timeout,
                backoff=backoff,
                login=login,
                tls=tls,
                clock=clock,
                random=random,
            )
            self._servers[server.name] = server
        if not servers or len(self._servers) < len(servers):
            raise ConfigError(f"name each server once, and at least one, not {servers!r}")
        self._ring = Ring(self._servers, replicas=_POINTS)

    @classmethod
    def from_url(cls, url: str | Url) -> Self:
        """Return the store of a URL such as ``memcached://host:port,host:port``.

        Options are ``prefix`` and ``timeout``; ``memcacheds://`` is TLS, with the options ``ca``,
        ``certificate`` and ``key``, which name PEM files. Nothing is connected yet.

        Raises:
            ConfigError: The URL is malformed, or an option unknown or wrong.
        """
        parsed = parse_url(expand_env(url)) if isinstance(url, str) else url
        options = Options(parsed)
        tls = client_tls_of(parsed, options, scheme="memcacheds")
        prefix = options.text("prefix", default=_PREFIX)
        timeout = options.duration("timeout", default=_TIMEOUT)
        options.finish()
        if parsed.path.strip("/") or not parsed.hosts:
            raise ConfigError(f"{parsed}: write {parsed.scheme}://host:port, without a path")
        login = None if parsed.username is None else (parsed.username, parsed.password or "")
        return cls(
            *parsed.addresses(_PORT),
            prefix=prefix,
            timeout=timeout,
            login=login,
            tls=None if tls is None else Rotation(tls, client_context).refresh,
        )

    async def get(self, key: str, /) -> bytes | None:
        """See ``Store``."""
        item = await self._item(self._key(key))
        return None if item is None else item.value

    async def set(self, key: str, value: bytes, /, *, ttl: float) -> None:
        """See ``Store``."""
        check_entry(value, ttl)
        await self._store(b"set", self._key(key), value, self._expiry(ttl))

    async def set_if_absent(self, key: str, value: bytes, /, *, ttl: float) -> bool:
        """See ``Store``.

        If the connection is lost before the answer comes, and the value was kept, it is ``False``.
        """
        check_entry(value, ttl)
        return await self._store(b"add", self._key(key), value, self._expiry(ttl))

    async def replace(self, key: str, value: bytes, /, *, expected: bytes, ttl: float) -> bool:
        """See ``Store``; two round trips, and no other can come between them."""
        check_entry(value, ttl)
        name = self._key(key)
        item = await self._item(name)
        if item is None or item.value != expected:
            return False
        return await self._store(b"cas", name, value, self._expiry(ttl), item.unique)

    async def delete(self, key: str, /, *, expected: bytes | None = None) -> bool:
        """See ``Store``; two round trips if a value is expected."""
        name = self._key(key)
        if expected is None:
            return await self._line(name, b"delete %b\r\n" % name) == b"DELETED"
        item = await self._item(name)
        if item is None or item.value != expected:
            return False
        return await self._store(b"cas", name, b"", -1, item.unique)  # which is over at once

    async def get_many(self, keys: Sequence[str], /) -> Mapping[str, bytes]:
        """See ``kratos.store.BatchStore``; all servers are asked at the same time."""
        names = {self._key(key): key for key in keys}
        shares: dict[Server, list[bytes]] = {}
        for name in names:
            shares.setdefault(self._server(name), []).append(name)
        parts = [
            (server, share[begin : begin + _KEYS_AT_ONCE])
            for server, share in shares.items()
            for begin in range(0, len(share), _KEYS_AT_ONCE)
        ]
        replies = await asyncio.gather(*(_items(server, part) for server, part in parts))
        return {
            names[name]: item.value
            for found in replies
            for name, item in found.items()
            if name in names
        }

    async def set_many(self, entries: Mapping[str, Entry], /) -> None:
        """See ``kratos.store.BatchStore``; no command waits for the reply to another."""
        for value, ttl in entries.values():
            check_entry(value, ttl)
        await asyncio.gather(
            *(
                self._store(b"set", self._key(key), value, self._expiry(ttl))
                for key, (value, ttl) in entries.items()
            )
        )

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        for server in self._servers.values():
            server.close()

    async def _item(self, name: bytes) -> Item | None:
        return (await _items(self._server(name), [name])).get(name)

    async def _store(
        self, verb: bytes, name: bytes, value: bytes, expiry: int, unique: bytes = b""
    ) -> bool:
        head = b"%b %b 0 %d %d" % (verb, name, expiry, len(value))
        if unique:
            head += b" " + unique
        return await self._line(name, b"%b\r\n%b\r\n" % (head, value)) == b"STORED"

    async def _line(self, name: bytes, command: bytes) -> bytes:
        server = self._server(name)
        reply = await server.ask(command)
        if isinstance(reply, bytes) and reply in _LINES:
            return reply
        raise _strange(server, reply)

    def _server(self, name: bytes) -> Server:
        return self._servers[self._ring.get(name.decode("latin-1"))]

    def _expiry(self, ttl: float) -> int:
        # A second is up to one shorter there, as it ends with a tick of a clock.
        seconds = ceil(ttl) + 1
        return seconds if seconds <= _MONTH else ceil(self._wall()) + seconds

    def _key(self, key: str) -> bytes:
        """Return the name of a key: itself where memcached takes that, else a hash of it."""
        name = (self._prefix + key).encode("utf-8", "surrogatepass")
        if len(name) <= _LONGEST and _is_plain(name) and not key.startswith(_HASHED):
            return name
        digest = sha256(name).hexdigest()
        return f"{self._prefix}{_HASHED}{digest}".encode()


async def _items(server: Server, names: Sequence[bytes]) -> Mapping[bytes, Item]:
    """Return what a server has of some keys."""
    reply = await server.ask(b"gets %b\r\n" % b" ".join(names))
    if isinstance(reply, dict):
        return reply
    raise _strange(server, reply)


def _strange(server: Server, reply: Reply) -> StoreUnavailable:
    server.close_connection()
    return StoreUnavailable(f"what answers at {server.name} is no memcached: it says {reply!r}")


def _is_plain(name: bytes) -> bool:
    return all(0x20 < byte != 0x7F for byte in name)


def _host_of(address: str) -> tuple[str, int]:
    """Return the host and the port of an address.

    Raises:
        ConfigError: It is none.
    """
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(_PORT)
    if not host or not (port.isascii() and port.isdigit()):
        raise ConfigError(f"{address!r} is no address: write host:port, or [host]:port for IPv6")
    return host.strip("[]"), int(port)
