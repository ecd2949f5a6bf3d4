"""What sources said last, kept on disk for a start without them."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from kratos.config._interface import KeyValue
from kratos.errors import ConfigError

__all__ = ["LastGood"]

_VERSION: Final = 1
_States: TypeAlias = Mapping[str, Sequence[KeyValue]]


class LastGood:
    """A file, readable by its owner alone, of what each source said.

    Args:
        path: The file; its directory must be there.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def __str__(self) -> str:
        return str(self._path)

    def read(self) -> _States:
        """Return what each source said; nothing if there is no file.

        Raises:
            ConfigError: The file cannot be read, or is not one that ``write`` made.
        """
        try:
            with self._path.open("rb") as file:
                document: Any = json.load(file)
            if document["version"] != _VERSION:
                raise ValueError(f"its version is not {_VERSION}")
            sources = cast("dict[str, list[dict[str, str]]]", document["sources"])
            return {name: [_entry(one) for one in found] for name, found in sources.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self._path}: no configuration kept there: {error}") from error

    def write(self, states: _States) -> None:
        """Keep what each source says, in place of what was kept, in one step.

        Raises:
            OSError: The file cannot be written.
        """
        document = {
            "version": _VERSION,
            "sources": {name: [_shown(one) for one in found] for name, found in states.items()},
        }
        # Made with mode 0600: a configuration may hold secrets.
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=".kratos-config-")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._path)
        except BaseException:
            Path(temporary).unlink()
            raise


def _shown(entry: KeyValue) -> dict[str, str]:
    value = base64.b64encode(entry.value).decode()
    return {"key": entry.key, "format": entry.format, "value": value}


def _entry(shown: Mapping[str, str]) -> KeyValue:
    value = base64.b64decode(shown["value"], validate=True)
    return KeyValue(key=shown["key"], format=shown["format"], value=value)
