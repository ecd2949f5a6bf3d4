"""Rate limits that many processes share, on Redis."""

from kratos_redis.gcra import RedisGcra
from kratos_redis.limiter import OnError, RedisStats, RedisUnavailable
from kratos_redis.script import Client
from kratos_redis.sliding_window import RedisSlidingWindow

__all__ = [
    "Client",
    "OnError",
    "RedisGcra",
    "RedisSlidingWindow",
    "RedisStats",
    "RedisUnavailable",
]
