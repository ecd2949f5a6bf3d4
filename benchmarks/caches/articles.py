"""The interface of the generated cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kratos_cachegen import bts, redis

__all__ = ["Article", "Articles", "article"]


@dataclass(frozen=True)
class Article:
    """Half a kilobyte."""

    id: int
    title: str
    text: str
    tags: tuple[str, ...]


def article(number: int) -> Article:
    """Return what the source has."""
    return Article(
        number, f"Article {number}", "Lorem ipsum dolor. " * 26, ("news", "sports", "local")
    )


class Articles(Protocol):
    """Where articles are."""

    @bts(singleflight=True)
    @redis(expire=300)
    async def article(self, number: int) -> Article | None:
        """Return one, which of many callers one loads."""
        ...

    @bts()
    @redis(expire=300, key="self.key_article")
    async def alone(self, number: int) -> Article | None:
        """Return one, which each caller loads."""
        ...
