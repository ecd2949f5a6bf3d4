"""The configuration in force, without its secrets."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast, runtime_checkable

import yaml

from kratos.config import Config, KeyValue, Snapshot
from kratos.errors import Error
from kratos.redact import redacted
from kratos.watch import Watcher

__all__ = ["shown"]

_READERS: Final[Mapping[str, Callable[[bytes], object]]] = {
    "json": json.loads,
    "yaml": yaml.safe_load,
    "yml": yaml.safe_load,
}


@runtime_checkable
class _Watchable(Protocol):
    async def watch(self) -> Watcher[Sequence[KeyValue]]: ...


async def shown(config: object) -> Any:
    """Return a configuration as JSON could hold it.

    Args:
        config: A ``Config``, of which the snapshot is shown; a source, which is read; a function,
            ``async`` or not, which is called; or what there is to show.

    Raises:
        Error: 503 ``NOT_LOADED``, of a ``Config`` that is not.
    """
    if isinstance(config, Config):
        return redacted(_snapshot(config))
    if isinstance(config, _Watchable):
        return await _read(config)
    if callable(config):
        found = cast("Callable[[], object]", config)()
        config = await found if inspect.isawaitable(found) else found
    return redacted(config)


def _snapshot(config: Config) -> Snapshot:
    try:
        return config.snapshot
    except RuntimeError as error:
        raise Error(
            503, "NOT_LOADED", "the configuration is not loaded, or not in this process"
        ) from error


async def _read(source: _Watchable) -> dict[str, Any]:
    watcher = await source.watch()
    try:
        entries = (await watcher.read()).value
    finally:
        await watcher.aclose()
    return {entry.key: _entry(entry) for entry in entries}


def _entry(entry: KeyValue) -> Any:
    if not entry.format:
        return redacted(entry.value.decode("utf-8", "replace"), key=entry.key)
    read = _READERS.get(entry.format)
    if read is not None:
        try:
            return redacted(read(entry.value), key=entry.key)
        except (ValueError, yaml.YAMLError):
            pass  # then its size has to do: unread text may hold anything
    return f"<{len(entry.value)} bytes of {entry.format}>"
