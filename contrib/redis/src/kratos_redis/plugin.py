"""What URLs of Redis find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kratos.config import Source
    from kratos.registry import Registry
    from kratos.store import Store
    from kratos.url import Url

__all__ = ["registry", "source", "store"]


def registry(url: Url) -> Registry:
    """Return the registry of a URL; see ``RedisRegistry.from_url``."""
    from kratos_redis.registry import RedisRegistry

    return RedisRegistry.from_url(url)


def source(url: Url) -> Source:
    """Return the source of a URL; see ``RedisSource.from_url``."""
    from kratos_redis.source import RedisSource

    return RedisSource.from_url(url)


def store(url: Url) -> Store:
    """Return the store of a URL; see ``RedisStore.from_url``."""
    from kratos_redis.store import RedisStore

    return RedisStore.from_url(url)
