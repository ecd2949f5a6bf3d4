"""One publication of an instance: registered, renewed and withdrawn, each by one script."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final

from kratos.errors import RegistrationLost
from kratos.registry import ServiceInstance
from kratos_redis import layout
from kratos_redis.asking import Line
from kratos_redis.script import Script

__all__ = ["Publication"]

# What all three begin with. KEYS: the service, the instance, the stream. ARGV: the id, the
# registration, the ttl in milliseconds. The hash and the stream live as long as the last instance.
# Each entry of the stream names the one before, so that whoever missed some knows it.
_COMMON: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ttl = tonumber(ARGV[3])
local ends = string.format('%.0f', now + ttl)

local function keep()
    redis.call('HSET', KEYS[1], ARGV[1], ends .. ' ' .. ARGV[2])
    redis.call('PEXPIREAT', KEYS[2], ends)
    for _, key in ipairs({KEYS[1], KEYS[3]}) do
        if redis.call('PTTL', key) < ttl then
            redis.call('PEXPIREAT', key, ends)
        end
    end
end

local function is_ours()
    local held = redis.call('HGET', KEYS[1], ARGV[1])
    return held and string.match(held, ' (.*)') == ARGV[2]
end

local function tell(...)
    local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
    local after = last and last[1] or '0-0'
    redis.call('XADD', KEYS[3], 'MAXLEN', 32, '*', 'after', after, 'id', ARGV[1], ...)
end
"""

_REGISTER: Final = Script(f"""{_COMMON}
local held = redis.call('HGETALL', KEYS[1])
for at = 1, #held, 2 do
    if tonumber(string.match(held[at + 1], '^%d+') or 0) <= now then
        redis.call('HDEL', KEYS[1], held[at])
    end
end
redis.call('SET', KEYS[2], ARGV[4])
tell('entry', ends .. ' ' .. ARGV[2], 'instance', ARGV[4])
keep()
return 1
""")

_RENEW: Final = Script(f"""{_COMMON}
if not is_ours() or redis.call('EXISTS', KEYS[2]) == 0 then
    return 0
end
keep()
return 1
""")

_WITHDRAW: Final = Script(f"""{_COMMON}
if is_ours() then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('DEL', KEYS[2])
    tell()
    if redis.call('PTTL', KEYS[3]) == -1 then
        redis.call('PEXPIREAT', KEYS[3], ends)
    end
end
return 1
""")


class Publication:
    """A ``kratos.registry.Registration``.

    Args:
        line: Who is asked.
        service: The key of the service.
        instance: What is published.
        ttl: Seconds that it outlives its last renewal.
    """

    def __init__(
        self, line: Line, service: bytes, instance: ServiceInstance, *, ttl: float
    ) -> None:
        id_ = instance.id.encode()
        self._line = line
        self._text = str(instance)
        self._keys = (service, layout.instance_key(service, id_), layout.changes_of(service))
        # By its own name it is told from an earlier one of the same id.
        self._arguments = (id_, secrets.token_hex(8).encode(), round(ttl * 1000))
        self._ttl = ttl

    @property
    def ttl(self) -> float | None:
        """Seconds that it outlives silence."""
        return self._ttl

    async def publish(self, data: bytes) -> None:
        """Register the instance, whose JSON this is, in place of one of the same id."""
        await self._run("register", _REGISTER, data)

    async def renew(self) -> None:
        """Let it stand for a ttl from now on; see ``Registration``."""
        if not await self._run("renew", _RENEW):
            raise RegistrationLost(
                f"{self._text} has expired, was removed, or belongs to a later registration"
            )

    async def lost(self) -> None:
        """Wait for ever: the next renewal finds out.

        To hear of it would take a connection for each registration, and wake all of a service
        whenever one changes.
        """
        await asyncio.Event().wait()

    async def withdraw(self) -> None:
        """Take it back if it still is this one; see ``Registration``."""
        await self._run("withdraw", _WITHDRAW)

    async def _run(self, action: str, script: Script, *more: bytes) -> Any:
        arguments = (*self._arguments, *more)
        return await self._line.run(f"{action} {self._text}", script, self._keys, arguments)
