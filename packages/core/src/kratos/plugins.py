"""Plug-ins: objects found by group and name, which installed distributions announce.

Distributions announce them as entry points; what the core brings is announced the same way,
and known here too, so that it is found where no metadata is installed (an archive, a frozen
program). Nothing is imported before ``load``.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, overload

from kratos._built_in import BUILT_IN, DISTRIBUTED
from kratos.errors import ConfigError, PluginConflict, PluginLoadError, PluginNotFound

if TYPE_CHECKING:
    from kratos.config import Source
    from kratos.encoding import Codec
    from kratos.log import Logger
    from kratos.metrics import Meter
    from kratos.registry import Registry
    from kratos.selector import Selector
    from kratos.store import Store
    from kratos.tracing import Tracer
    from kratos.transport import Connector
    from kratos.url import Url

    class Command(Protocol):
        """Sub-command of ``kratos``."""

        def register(self, subparsers: Any, /) -> None: ...
        def run(self, args: Any, /) -> int: ...

    ConnectorFactory: TypeAlias = Callable[..., Connector]
    LoggerFactory: TypeAlias = Callable[..., Logger]
    MeterFactory: TypeAlias = Callable[[], Meter]
    RegistryFactory: TypeAlias = Callable[[Url], Registry]
    SelectorFactory: TypeAlias = Callable[[], Selector]
    SourceFactory: TypeAlias = Callable[[Url], Source]
    TracerFactory: TypeAlias = Callable[[], Tracer]
    StoreFactory: TypeAlias = Callable[[Url], Store]

__all__ = ["DISABLED", "Plugin", "clear", "find", "load", "register", "sole"]

DISABLED: Final = "KRATOS_PLUGINS_DISABLED"
"""Environment variable that removes plug-ins: ``group:name,group:name``."""

_CORE: Final = "kratos-core"
_NAME: Final = re.compile(r"[a-z][a-z0-9+.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """Where a plug-in comes from.

    Attributes:
        group: Group, such as ``kratos.registry``.
        name: Name or URL scheme.
        distribution: The distribution that announces it.
        version: That distribution's version; empty if no metadata is installed.
        target: ``module:attribute``.
    """

    group: str
    name: str
    distribution: str
    version: str
    target: str


# One entry per group, filled at its first look-up: reading metadata again costs milliseconds.
_found: dict[str, dict[str, list[Plugin]]] = {}
_overrides: dict[tuple[str, str], object] = {}


def find(group: str) -> tuple[Plugin, ...]:
    """Return what is installed in a group, by name, without importing it.

    Disabled plug-ins and those of ``register`` are not listed; of two that conflict, both are.

    Raises:
        ConfigError: ``KRATOS_PLUGINS_DISABLED`` is malformed.
    """
    disabled = _disabled()
    return tuple(
        plugin
        for name, claims in sorted(_group(group).items())
        if (group, name) not in disabled
        for plugin in claims
    )


@overload
def load(group: Literal["kratos.registry"], name: str) -> RegistryFactory: ...
@overload
def load(group: Literal["kratos.config"], name: str) -> SourceFactory: ...
@overload
def load(group: Literal["kratos.encoding"], name: str) -> Codec: ...
@overload
def load(group: Literal["kratos.log"], name: str) -> LoggerFactory: ...
@overload
def load(group: Literal["kratos.metrics"], name: str) -> MeterFactory: ...
@overload
def load(group: Literal["kratos.tracing"], name: str) -> TracerFactory: ...
@overload
def load(group: Literal["kratos.selector"], name: str) -> SelectorFactory: ...
@overload
def load(group: Literal["kratos.store"], name: str) -> StoreFactory: ...
@overload
def load(group: Literal["kratos.cli"], name: str) -> Command: ...
@overload
def load(group: Literal["kratos.transport"], name: str) -> ConnectorFactory: ...
@overload
def load(group: str, name: str) -> Any: ...
def load(group: str, name: str) -> Any:
    """Import and return a plug-in; what ``register`` set comes first.

    Raises:
        PluginNotFound: None has that name; the text lists what there is and what to install.
        PluginConflict: Two distributions claim the name.
        PluginLoadError: Its code failed to import; the cause is chained.
        ConfigError: ``KRATOS_PLUGINS_DISABLED`` is malformed.
    """
    if (group, name) in _overrides:
        return _overrides[group, name]
    claims = [plugin for plugin in find(group) if plugin.name == name]
    if not claims:
        raise _not_found(group, name)
    if len(claims) > 1:
        claimants = [plugin.distribution for plugin in claims]
        raise PluginConflict(group, name, distributions=claimants)
    return _import(claims[0])


def sole(group: str) -> tuple[str, Any] | None:
    """Import and return the plug-in of a group of which a process has one, with its name.

    What ``register`` set comes first. ``None`` where nothing is installed.

    Raises:
        ConfigError: There are several; the text names them. Or ``KRATOS_PLUGINS_DISABLED`` is
            malformed.
        PluginConflict: Two distributions claim its name.
        PluginLoadError: Its code failed to import; the cause is chained.
    """
    names = sorted(name for set_in, name in _overrides if set_in == group)
    names = names or sorted({plugin.name for plugin in find(group)})
    if not names:
        return None
    if len(names) > 1:
        others = ",".join(f"{group}:{name}" for name in names[1:])
        raise ConfigError(
            f"{group} has room for one plug-in, and {', '.join(names)} are installed: pass the one "
            f"that you mean to what uses it, or leave one by {DISABLED}={others}"
        )
    return names[0], load(group, names[0])


def register(group: str, name: str, factory: object) -> Callable[[], None]:
    """Set a plug-in for this process; it comes before installed ones of the name.

    Returns:
        The way back to what was before; calling it again does nothing.

    Raises:
        ValueError: The name is no URL scheme.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a plug-in's name must be a lower-case URL scheme, got {name!r}")
    key = (group, name)
    before = _overrides.get(key)
    was_set = key in _overrides
    _overrides[key] = factory
    undone = False

    def undo() -> None:
        nonlocal undone
        if undone:
            return
        undone = True
        if was_set:
            _overrides[key] = before
        else:
            _overrides.pop(key, None)

    return undo


def clear() -> None:
    """Forget what was found, so that the next look-up reads the metadata again."""
    _found.clear()


def _group(group: str) -> dict[str, list[Plugin]]:
    found = _found.get(group)
    if found is None:
        found = _found[group] = _scan(group)
    return found


def _scan(group: str) -> dict[str, list[Plugin]]:
    # Importing it costs 35 ms, which a program without plug-ins need not spend.
    import importlib.metadata as metadata

    found: dict[str, list[Plugin]] = {}
    seen: set[tuple[str, str]] = set()
    versions = {_CORE: ""}
    for entry in metadata.entry_points(group=group):
        if entry.dist is None:
            continue
        distribution = re.sub(r"[-_.]+", "-", entry.dist.name).lower()
        versions[distribution] = entry.dist.version
        if (distribution, entry.name) not in seen:
            seen.add((distribution, entry.name))
            plugin = Plugin(
                group=group,
                name=entry.name,
                distribution=distribution,
                version=entry.dist.version,
                target=entry.value,
            )
            found.setdefault(entry.name, []).append(plugin)
    for name, target in BUILT_IN.get(group, {}).items():
        if (_CORE, name) not in seen:
            plugin = Plugin(
                group=group,
                name=name,
                distribution=_CORE,
                version=versions[_CORE],
                target=target,
            )
            found.setdefault(name, []).append(plugin)
    return found


def _disabled() -> set[tuple[str, str]]:
    entries: set[tuple[str, str]] = set()
    for entry in filter(None, os.environ.get(DISABLED, "").split(",")):
        group, colon, name = entry.strip().partition(":")
        if not (group and colon and name):
            raise ConfigError(f"{DISABLED} must list group:name, got {entry!r}")
        entries.add((group, name))
    return entries


def _not_found(group: str, name: str) -> PluginNotFound:
    installed = sorted({plugin.name for plugin in find(group)})
    installed += sorted(key[1] for key in _overrides if key[0] == group)
    if (group, name) in _disabled():
        hint = f"{DISABLED} disables it"
    elif not _NAME.fullmatch(name):
        hint = "a name is a lower-case URL scheme such as etcd, never a path to code"
    else:
        there = {known for where, known in DISTRIBUTED if where == group}
        near = get_close_matches(name, {*installed, *there}, n=1)
        # Nobody shall install what a slip of the pen, or a stranger, has named.
        if name in there:
            hint = f"pip install {DISTRIBUTED[group, name]}"
        elif near:
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = (
                f"no distribution that this {_CORE} knows of brings it; install the one that does, "
                "if there is one"
            )
    return PluginNotFound(group, name, installed=installed, hint=hint)


def _import(plugin: Plugin) -> object:
    module, _, attributes = plugin.target.partition(":")
    try:
        found: object = importlib.import_module(module)
        for attribute in filter(None, attributes.split(".")):
            found = getattr(found, attribute)
    except Exception as error:
        distribution = f"{plugin.distribution} {plugin.version}".strip()
        raise PluginLoadError(plugin.group, plugin.name, distribution=distribution) from error
    return found
