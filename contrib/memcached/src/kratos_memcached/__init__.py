"""A store on memcached, for what many processes share and may lose."""

from kratos_memcached.replies import Refused
from kratos_memcached.store import MemcachedStore

__all__ = ["MemcachedStore", "Refused"]
