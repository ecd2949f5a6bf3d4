"""What the entries of a source say, read into trees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, cast

from kratos.config._dotted import nest
from kratos.config._interface import KeyValue
from kratos.config.formats import DECODERS, Decoder, decoder
from kratos.errors import ConfigError

__all__ = ["Layer", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One document, or the entries of a source that are single values.

    Attributes:
        origin: Source and document, as shown to people.
        tree: Its values; texts, numbers, booleans, ``None``, lists and mappings.
    """

    origin: str
    tree: Mapping[str, Any] = field(repr=False)


def read(source: str, entries: Iterable[KeyValue], decoders: Mapping[str, Decoder]) -> list[Layer]:
    """Read the entries of a source, in its order.

    Args:
        source: Name of the source.
        entries: What it has.
        decoders: Formats besides, or in place of, those that come with Kratos.

    Raises:
        ConfigError: There is no decoder for a format, or an entry is not what its format says.
    """
    layers: list[Layer] = []
    for single, group in groupby(entries, key=lambda entry: not entry.format):
        if single:
            layers.append(_of_texts(source, group))
        else:
            layers.extend(_of_document(source, entry, decoders) for entry in group)
    return layers


def _of_texts(source: str, entries: Iterable[KeyValue]) -> Layer:
    texts: list[tuple[str, object]] = []
    for entry in entries:
        try:
            texts.append((entry.key, entry.value.decode()))
        except UnicodeDecodeError as error:
            raise ConfigError(f"{source}: {entry.key}: byte {error.start} is not UTF-8") from None
    return Layer(origin=source, tree=nest(texts))


def _of_document(source: str, entry: KeyValue, decoders: Mapping[str, Decoder]) -> Layer:
    origin = f"{source}: {entry.key}" if entry.key else source
    decode = decoders.get(entry.format) or decoder(entry.format)
    if decode is None:
        known = ", ".join(sorted({*decoders, *DECODERS}))
        raise ConfigError(
            f"{origin}: nothing reads the format {entry.format!r}; it may be one of {known}, "
            "or give a decoder for it"
        )
    try:
        tree = decode(entry.value)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{origin}: byte {error.start} is not UTF-8") from None
    except ValueError as error:
        raise ConfigError(f"{origin}: {error}") from error
    except Exception as error:  # a decoder of the program's own, which may raise anything
        raise ConfigError(
            f"{origin}: the decoder of {entry.format!r} failed: {type(error).__name__}"
        ) from error
    if tree is None:
        return Layer(origin=origin, tree={})
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{origin}: its top must be a mapping, not {type(tree).__name__}")
    return Layer(origin=origin, tree=cast("Mapping[str, Any]", tree))
