"""What URLs of the schemes ``zookeeper`` and ``zookeepers`` find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kratos.config import Source
    from kratos.registry import Registry
    from kratos.url import Url

__all__ = ["registry", "source"]


def registry(url: Url) -> Registry:
    """Return the registry of a URL; see ``ZooKeeperRegistry.from_url``."""
    from kratos_zookeeper.registry import ZooKeeperRegistry

    return ZooKeeperRegistry.from_url(url)


def source(url: Url) -> Source:
    """Return the configuration source of a URL; see ``ZooKeeperSource.from_url``."""
    from kratos_zookeeper.source import ZooKeeperSource

    return ZooKeeperSource.from_url(url)
