"""On Redis: a registry, configuration, a store, and rate limits that many processes share."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from kratos_redis.gcra import RedisGcra
from kratos_redis.limiter import OnError, OnTurn, RedisStats, RedisUnavailable
from kratos_redis.script import Client
from kratos_redis.sliding_window import RedisSlidingWindow

if TYPE_CHECKING:
    from kratos_redis.registry import RedisRegistry
    from kratos_redis.source import RedisSource
    from kratos_redis.store import RedisStore

__all__ = [
    "Client",
    "OnError",
    "OnTurn",
    "RedisGcra",
    "RedisRegistry",
    "RedisSlidingWindow",
    "RedisSource",
    "RedisStats",
    "RedisStore",
    "RedisUnavailable",
]

# They need kratos-core, which limiters do without.
_LATER = {"RedisRegistry": "registry", "RedisSource": "source", "RedisStore": "store"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module 'kratos_redis' has no attribute {name!r}")
    return getattr(import_module(f"kratos_redis.{_LATER[name]}"), name)
