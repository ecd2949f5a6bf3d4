"""Choosing a store by URL."""

from __future__ import annotations

from kratos._by_url import make
from kratos.store._interface import Store
from kratos.url import Url

__all__ = ["from_url"]


def from_url(url: str | Url) -> Store:
    """Make the store that a URL describes: ``redis://127.0.0.1:6379/0?timeout=500ms``.

    The scheme chooses the adapter among the installed ones; the options are the keyword
    parameters of its constructor. ``${NAME}`` in a text stands for an environment variable.
    Nothing is connected yet.

    Raises:
        ConfigError: The URL is malformed, or an option unknown or wrong.
        PluginNotFound: No adapter for the scheme is installed; the text says what to install.
        PluginConflict: Two distributions claim the scheme.
        PluginLoadError: The adapter's code failed to import.
    """
    made: Store = make("kratos.store", url)
    return made
