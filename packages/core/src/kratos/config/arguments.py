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
        ConfigError: One of them has no key or no ``=``, or it is no list.
    """

    __slots__ = ("_entries",)

    def __init__(self, overrides: Iterable[str]) -> None:
        if isinstance(overrides, str):
            raise ConfigError("overrides must be a list of texts dotted.key=value, not one text")
        self._entries = [_entry(at, text) for at, text in enumerate(overrides, 1)]

    def __str__(self) -> str:
        return "command line"

    async def watch(self) -> Watcher[Sequence[KeyValue]]:
        """Open a watcher, which never tells of a change."""
        return ConstantWatcher(self._entries)


def _entry(at: int, text: str) -> KeyValue:
    key, equals, value = text.partition("=")
    if not equals or not all(key.strip().split(".")):
        # The text may be a secret that was given in the wrong way.
        shown = f"{key!r} is no dotted key" if equals else "it has no '='"
        raise ConfigError(f"override {at} sets nothing: {shown}; write dotted.key=value")
    return KeyValue(key=key.strip(), value=value.encode(errors="replace"))


if TYPE_CHECKING:
    _source: type[Source] = ArgumentsSource
