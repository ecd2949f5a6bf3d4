"""Values given on the command line as a source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from kratos.config._constant import ConstantWatcher
from kratos.config._interface import KeyValue, Source
from kratos.errors import ConfigError
from kratos.watch import Watcher

__all__ = ["ArgumentsSource"]


class ArgumentsSource:
    """Overrides such as ``server.http.port=8080``, for instance of an option ``--set``.

    Give it as the last source. Values are texts; getters and ``scan`` read them as what they
    are asked for.

    Args:
        overrides: ``dotted.key=value``; a later one wins.

    Raises:
        ConfigError: One of them has no key or no ``=``.
    """

    __slots__ = ("_entries",)

    def __init__(self, overrides: Iterable[str]) -> None:
        self._entries = [_entry(text) for text in overrides]

    def __str__(self) -> str:
        return "command line"

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Open a watcher, which never tells of a change."""
        return ConstantWatcher(self._entries)


def _entry(text: str) -> KeyValue:
    key, equals, value = text.partition("=")
    if not equals or not all(key.strip().split(".")):
        # The text may be a secret that was given in the wrong way.
        shown = repr(key) if equals else "what was given"
        raise ConfigError(f"{shown} sets nothing; write dotted.key=value")
    return KeyValue(key=key.strip(), value=value.encode(errors="replace"))


if TYPE_CHECKING:
    _source: type[Source] = ArgumentsSource
