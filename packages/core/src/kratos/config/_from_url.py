"""Choosing a source of configuration by URL."""

from __future__ import annotations

from kratos._by_url import make
from kratos.config._interface import Source
from kratos.url import Url

__all__ = ["from_url"]


def from_url(url: str | Url) -> Source:
    """Make the source of configuration that a URL describes: ``etcd://127.0.0.1:2379/configs``.

    The scheme chooses the adapter among the installed ones; the options are the keyword
    parameters of its constructor. ``${NAME}`` in a text stands for an environment variable.
    Nothing is read yet.

    Raises:
        ConfigError: The URL is malformed, or an option unknown or wrong.
        PluginNotFound: No adapter for the scheme is installed; the text says what to install.
        PluginConflict: Two distributions claim the scheme.
        PluginLoadError: The adapter's code failed to import.
    """
    made: Source = make("kratos.config", url)
    return made
