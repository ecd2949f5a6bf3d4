"""What sources said last, kept on disk for a start without them."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, Final

from kratos.config._states import States, from_plain, to_plain
from kratos.errors import ConfigError

__all__ = ["LastGood"]

_VERSION: Final = 1
_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


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

    def read(self) -> States:
        """Return what each source said; nothing if there is no file.

        Raises:
            ConfigError: The file cannot be read, or is not one that ``write`` made.
        """
        try:
            with self._path.open("rb") as file:
                document: Any = json.load(file)
            if document["version"] != _VERSION:
                raise ValueError(f"its version is not {_VERSION}")
            return from_plain(document["sources"])
        except FileNotFoundError:
            return {}
        except _UNREADABLE as error:
            raise ConfigError(f"{self._path}: no configuration kept there: {error}") from error

    def write(self, states: States) -> None:
        """Keep what each source says, in place of what was kept, in one step.

        Raises:
            OSError: The file cannot be written.
        """
        document = {"version": _VERSION, "sources": to_plain(states)}
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
