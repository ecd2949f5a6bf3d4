"""The keys that are asked for most, found in small memory, and a cache for them."""

from aegis.hotkey.cache import HotKeyCache, HotKeyCacheStats
from aegis.hotkey.heavykeeper import Added, HeavyKeeper, HeavyKeeperStats, HotKey
from aegis.hotkey.rules import CacheRule

__all__ = [
    "Added",
    "CacheRule",
    "HeavyKeeper",
    "HeavyKeeperStats",
    "HotKey",
    "HotKeyCache",
    "HotKeyCacheStats",
]
