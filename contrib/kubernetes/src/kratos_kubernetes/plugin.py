"""What ``kratos.registry.from_url`` and configuration by URL find."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kratos.config import Source
    from kratos.registry import Registry
    from kratos.url import Url

__all__ = ["registry", "services", "source"]


def registry(url: Url) -> Registry:
    """Return the registry of a URL; see ``KubernetesRegistry.from_url``."""
    from kratos_kubernetes.registry import KubernetesRegistry

    return KubernetesRegistry.from_url(url)


def services(url: Url) -> Registry:
    """Return the discovery of a URL; see ``KubernetesServices.from_url``."""
    from kratos_kubernetes.services import KubernetesServices

    return KubernetesServices.from_url(url)


def source(url: Url) -> Source:
    """Return the source of a URL; see ``KubernetesSource.from_url``."""
    from kratos_kubernetes.source import KubernetesSource

    return KubernetesSource.from_url(url)
