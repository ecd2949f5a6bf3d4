"""Catalogues in files: which language a file is for, and what it says."""

from __future__ import annotations

import gettext
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from kratos.catalogue._languages import tag_of
from kratos.config.formats import decoder

__all__ = ["read"]

_FORMATS: Final = frozenset(("json", "mo", "toml", "yaml", "yml"))


def read(folder: Path) -> dict[str, dict[str, str]]:
    """Return texts by key by language, from the files of a folder.

    Raises:
        OSError: The folder or a file cannot be read.
        ValueError: A file is no catalogue, two say something about one key, or there is none.
    """
    texts: dict[str, dict[str, str]] = {}
    origins: dict[tuple[str, str], Path] = {}
    for path in _files(folder):
        try:
            language = _language(path, folder)
            found = _read(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        of_language = texts.setdefault(language, {})
        for key, text in found.items():
            if key in of_language:
                raise ValueError(f"{path}: {key} has a text in {origins[language, key]} already")
            of_language[key] = text
            origins[language, key] = path
    if not texts:
        raise ValueError(f"{folder}: no catalogue such as de.json, errors.de.toml or de.mo")
    return texts


def _files(folder: Path) -> list[Path]:
    """Return the catalogues of a folder, and those that lie there as gettext has them."""
    found = [*folder.iterdir(), *folder.glob("*/LC_MESSAGES/*.mo")]
    return sorted(
        path
        for path in found
        if path.suffix[1:].lower() in _FORMATS and path.name[:1] != "." and path.is_file()
    )


def _language(path: Path, folder: Path) -> str:
    if path.parent != folder:
        return tag_of(path.parent.parent.name)
    return tag_of(path.stem.rpartition(".")[2])


def _read(path: Path) -> dict[str, str]:
    kind = path.suffix[1:].lower()
    if kind == "mo":
        return _translations(path)
    decode = decoder(kind)
    assert decode is not None, kind
    tree: object = decode(path.read_bytes())
    if not isinstance(tree, Mapping):
        raise ValueError("a catalogue has texts by their keys")
    return dict(_flat(cast("Mapping[object, object]", tree), ""))


def _flat(tree: Mapping[object, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(cast("Mapping[object, object]", value), f"{name}.")
        elif isinstance(value, str):
            yield name, value
        else:
            raise ValueError(f"{name} is {value!r}, not a text")


def _translations(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            found = gettext.GNUTranslations(file)
    except (OSError, ValueError, LookupError, struct.error) as error:
        raise ValueError(f"no catalogue of gettext: {error}") from error
    # There is no other way to all of them, and there has been none since this is in Python.
    texts: Mapping[object, str] = vars(found)["_catalog"]
    return {key: text for key, text in texts.items() if isinstance(key, str) and key and text}
