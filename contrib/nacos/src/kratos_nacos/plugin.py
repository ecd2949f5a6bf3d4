"""What ``kratos.registry.from_url`` and configuration by URL find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kratos.config import Source
    from kratos.registry import Registry
    from kratos.url import Url

__all__ = ["registry", "source"]


def registry(url: Url) -> Registry:
    """Return the registry of a URL; see ``NacosRegistry.from_url``."""
    from kratos_nacos.registry import NacosRegistry

    return NacosRegistry.from_url(url)


def source(url: Url) -> Source:
    """Return the source of a URL; see ``NacosSource.from_url``."""
    from kratos_nacos.source import NacosSource

    return NacosSource.from_url(url)
