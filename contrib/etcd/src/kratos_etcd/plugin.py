"""What ``kratos.registry.from_url`` and configuration by URL find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kratos.config import Source
    from kratos.registry import Registry
    from kratos.url import Url

__all__ = ["registry", "source"]


def registry(url: Url) -> Registry:
    """Return the registry of a URL; see ``EtcdRegistry.from_url``."""
    from kratos_etcd.registry import EtcdRegistry

    return EtcdRegistry.from_url(url)


def source(url: Url) -> Source:
    """Return the source of a URL; see ``EtcdSource.from_url``."""
    from kratos_etcd.source import EtcdSource

    return EtcdSource.from_url(url)
