"""Caches in front of what is slow to load, generated from the methods of an interface."""

from kratos_cachegen.options import MARK, bts, mc, memory, redis
from kratos_cachegen.runtime import Aside, AsideOptions, partial_result

__all__ = ["MARK", "Aside", "AsideOptions", "bts", "mc", "memory", "partial_result", "redis"]
