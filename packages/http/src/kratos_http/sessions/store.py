"""Where sessions are kept that are more than a cookie: in a store as any other."""

from __future__ import annotations

from kratos.store import MemoryStore as MemorySessionStore
from kratos.store import Store as SessionStore

__all__ = ["MemorySessionStore", "SessionStore"]
