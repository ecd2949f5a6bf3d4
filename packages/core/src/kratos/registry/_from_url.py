"""Choosing a registry by URL."""

from __future__ import annotations

from kratos._by_url import make
from kratos.registry._interface import Registry
from kratos.url import Url

__all__ = ["from_url"]


def from_url(url: str | Url) -> Registry:
    """Make the registry that a URL describes: ``etcd://127.0.0.1:2379/microservices?ttl=15s``.

    The scheme chooses the adapter among the installed ones; the options are the keyword
    parameters of its constructor. ``${NAME}`` in a text stands for an environment variable.
    Nothing is connected yet.

    Raises:
        ConfigError: The URL is malformed, or an option unknown or wrong.
        PluginNotFound: No adapter for the scheme is installed; the text says what to install.
        PluginConflict: Two distributions claim the scheme.
        PluginLoadError: The adapter's code failed to import.
    """
    made: Registry = make("kratos.registry", url)
    return made
