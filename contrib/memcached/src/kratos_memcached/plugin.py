"""What URLs of memcached find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kratos.store import Store
    from kratos.url import Url

__all__ = ["store"]


def store(url: Url) -> Store:
    """Return the store of a URL; see ``MemcachedStore.from_url``."""
    from kratos_memcached.store import MemcachedStore

    return MemcachedStore.from_url(url)
