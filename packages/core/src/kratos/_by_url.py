"""Making what a URL describes, by the plug-in of its scheme."""

from __future__ import annotations

from typing import Any

from kratos.errors import ConfigError, KratosError
from kratos.plugins import load
from kratos.url import Url, expand_env, parse_url

__all__ = ["make"]


def make(group: str, url: str | Url) -> Any:
    """Return what the plug-in of a group makes of a URL.

    ``${NAME}`` in a text stands for an environment variable.

    Raises:
        ConfigError: The URL is malformed, or an option unknown or wrong.
        PluginNotFound: No adapter for the scheme is installed; the text says what to install.
        PluginConflict: Two distributions claim the scheme.
        PluginLoadError: The adapter's code failed to import.
    """
    parsed = parse_url(expand_env(url)) if isinstance(url, str) else url
    factory = load(group, parsed.scheme)
    try:
        return factory(parsed)
    except KratosError:
        raise
    except ValueError as error:
        raise ConfigError(f"{parsed}: {error}") from error
