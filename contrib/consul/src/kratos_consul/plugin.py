"""What ``kratos.registry.from_url`` and configuration by URL find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kratos.config import Source
    from kratos.registry import Registry
    from kratos.url import Url

__all__ = ["registry", "source"]


def registry(url: Url) -> Registry:
    """Return the registry of a URL; see ``ConsulRegistry.from_url``."""
    from kratos_consul.registry import ConsulRegistry

    return ConsulRegistry.from_url(url)


def source(url: Url) -> Source:
    """Return the source of a URL; see ``ConsulSource.from_url``."""
    from kratos_consul.source import ConsulSource

    return ConsulSource.from_url(url)
