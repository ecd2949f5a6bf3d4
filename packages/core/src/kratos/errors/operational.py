"""Failures of this process, one small class per cause, each also of its standard kin."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ConfigError",
    "DeadlineExceeded",
    "KratosError",
    "MissingDependency",
    "PluginConflict",
    "PluginLoadError",
    "PluginNotFound",
    "RegistrationLost",
    "RegistryUnavailable",
    "ServiceNotFound",
    "StartupError",
    "StoreFull",
    "StoreUnavailable",
    "TargetError",
]


class KratosError(Exception):
    """Root of every error that Kratos raises on its own behalf."""


class RegistryUnavailable(KratosError, ConnectionError):
    """A registry could not be reached or answered with a failure of its own."""


class RegistrationLost(KratosError, ConnectionError):
    """The registry no longer holds what was registered."""


class StoreUnavailable(KratosError, ConnectionError):
    """A store did not answer in time, or answered with a failure of its own."""


class StoreFull(StoreUnavailable):
    """A store answered that it has no room for an entry."""


class ServiceNotFound(KratosError, LookupError):
    """A registry answered, and knows no instance of the service."""


class DeadlineExceeded(KratosError, TimeoutError):
    """An operation of the framework took longer than it was given."""


class ConfigError(KratosError, ValueError):
    """An option or a configuration value is wrong."""


class TargetError(ConfigError):
    """A client target or a listening address cannot be understood."""


class StartupError(KratosError, RuntimeError):
    """The application could not start; the message names the culprit."""


class MissingDependency(KratosError, ImportError):
    """A feature needs a distribution that is not installed.

    Args:
        feature: What was asked for, as the user wrote it.
        distribution: The distribution that provides it.
    """

    def __init__(self, feature: str, distribution: str) -> None:
        self.feature = feature
        self.distribution = distribution
        super().__init__(
            f"{feature} needs {distribution}, which is not installed: pip install {distribution}"
        )


class PluginNotFound(KratosError, LookupError):
    """No installed distribution provides the plug-in.

    Args:
        group: Entry point group, for example ``kratos.registry``.
        name: Name or URL scheme that was asked for.
        installed: Names that this environment does provide.
        hint: What to do about it.
    """

    def __init__(self, group: str, name: str, *, installed: Sequence[str], hint: str) -> None:
        self.group = group
        self.name = name
        self.installed = tuple(installed)
        have = ", ".join(sorted(installed)) or "none"
        super().__init__(f"no plug-in {name!r} in {group} (installed: {have}); {hint}")


class PluginLoadError(KratosError, ImportError):
    """A plug-in is installed, but its code failed to import; the cause is chained."""

    def __init__(self, group: str, name: str, *, distribution: str) -> None:
        self.group = group
        self.name = name
        self.distribution = distribution
        super().__init__(f"plug-in {name!r} in {group}, from {distribution}, failed to load")


class PluginConflict(KratosError, RuntimeError):
    """Two distributions claim one plug-in name."""

    def __init__(self, group: str, name: str, *, distributions: Sequence[str]) -> None:
        self.group = group
        self.name = name
        self.distributions = tuple(distributions)
        super().__init__(
            f"plug-in {name!r} in {group} is claimed by {' and '.join(sorted(distributions))}: "
            "uninstall one of them or disable it with KRATOS_PLUGINS_DISABLED"
        )
