"""From what all sources say to one tree, and where each of its values came from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from kratos.config._layer import Layer, read
from kratos.config._merge import lay
from kratos.config._placeholders import resolve
from kratos.config._states import States
from kratos.config.formats import Decoder
from kratos.errors import ConfigError

__all__ = ["Builder", "Tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A configuration that is whole.

    Attributes:
        values: Merged and resolved.
        states: What the sources said.
        layers: What it was made of, the lowest first.
    """

    values: Mapping[str, Any] = field(repr=False)
    states: States
    layers: Sequence[Layer]

    def origins(self) -> dict[str, str]:
        """Return the source and document of each value that is no mapping, by dotted key."""
        origins: dict[str, str] = {}
        for layer in self.layers:
            for key in _keys(layer.tree, ""):
                origins[key] = layer.origin
        return {key: origins.get(key, "") for key in _keys(self.values, "")}

    def origin(self, key: str) -> str:
        """Return where the value under a dotted key, or the newest part of it, came from."""
        found = ""
        for layer in self.layers:
            if any(each == key or each.startswith(f"{key}.") for each in _keys(layer.tree, "")):
                found = layer.origin
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Reads, merges and resolves; see ``Config`` for the options."""

    decoders: Mapping[str, Decoder]
    append: Collection[str]
    actual_types: bool
    required: bool

    def build(self, states: States) -> Tree:
        """Return the tree of what all sources say.

        Raises:
            ConfigError: An entry cannot be read, or a placeholder cannot be replaced.
        """
        layers: list[Layer] = []
        for source, entries in states.items():
            layers += read(source, entries, self.decoders)
        merged: dict[str, Any] = {}
        for layer in layers:
            try:
                lay(merged, layer.tree, append=self.append)
            except RecursionError:
                raise ConfigError(f"{layer.origin}: it is nested too deeply") from None
        values = resolve(merged, actual_types=self.actual_types, required=self.required)
        return Tree(values=values, states=states, layers=layers)


def _keys(tree: Mapping[str, Any], prefix: str) -> Iterable[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _keys(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
