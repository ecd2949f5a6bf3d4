"""Bytes by key for a while: what idempotency keys, cached replies and sessions are kept in."""

from kratos.store._batch import BatchStore, Entry, get_many, set_many
from kratos.store._from_url import from_url
from kratos.store._interface import Store, check_entry
from kratos.store.memory import MemoryStore

__all__ = [
    "BatchStore",
    "Entry",
    "MemoryStore",
    "Store",
    "check_entry",
    "from_url",
    "get_many",
    "set_many",
]
