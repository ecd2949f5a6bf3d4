"""Choosing a registry by URL."""

from __future__ import annotations

from kratos.errors import ConfigError, KratosError
from kratos.plugins import load
from kratos.registry._interface import Registry
from kratos.url import Url, expand_env, parse_url

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
    parsed = parse_url(expand_env(url)) if isinstance(url, str) else url
    factory = load("kratos.registry", parsed.scheme)
    try:
        return factory(parsed)
    except KratosError:
        raise
    except ValueError as error:
        raise ConfigError(f"{parsed}: {error}") from error
