"""Scripts that Redis runs: sent by their digest, and in full only when the server lacks them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from hashlib import sha1
from typing import Any, Protocol

from redis.exceptions import NoScriptError

__all__ = ["Client", "Script"]


class Client(Protocol):
    """What is asked of a client: ``redis.asyncio.Redis`` and ``RedisCluster`` have it."""

    def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Awaitable[Any]:
        """Run a script."""
        ...

    def evalsha(self, sha: str, numkeys: int, /, *keys_and_args: Any) -> Awaitable[Any]:
        """Run a script that the server has."""
        ...


class Script:
    """A script over the keys that it is given; on a cluster they have to be of one slot.

    Args:
        source: The script, in Lua.
    """

    __slots__ = ("_digest", "_source")

    def __init__(self, source: str) -> None:
        self._source = source
        self._digest = sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def run(
        self, client: Client, keys: Sequence[bytes], arguments: Sequence[int | bytes] = ()
    ) -> Any:
        """Return what the script returns.

        A server that has been restarted has forgotten all scripts; then, once, a second round trip
        brings this one back.

        Raises:
            RedisError, OSError: As the client.
        """
        try:
            return await client.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await client.eval(self._source, len(keys), *keys, *arguments)
