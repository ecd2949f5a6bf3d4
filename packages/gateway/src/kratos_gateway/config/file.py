"""Texts in files (Go: ``config.FileLoader``)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kratos.errors import ConfigError
from kratos_gateway.config.documents import Document, Documents, Reader

__all__ = ["FileReader"]

_LARGEST: Final = 64 * 1024 * 1024  # bytes of one file
_SUFFIX: Final = ".yaml"


class FileReader:
    """Reads the main file, and the ``*.yaml`` files of a folder.

    Args:
        path: The main file.
        priorities: Folder of priority configurations, made if there is none; ``None`` for no such
            configurations.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, priorities: str | os.PathLike[str] | None = None
    ) -> None:
        self._path = Path(path)
        self._priorities = None if priorities is None else Path(priorities)

    def __str__(self) -> str:
        return str(self._path)

    async def read(self) -> Documents:
        """Return what the files hold; see ``Reader``."""
        return await asyncio.to_thread(self._read)

    async def changed(self) -> None:
        """Wait for ever: their content is looked at."""
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Nothing is held."""

    def _read(self) -> Documents:
        main = _document(self._path)
        if self._priorities is None:
            return Documents(main=main)
        try:
            self._priorities.mkdir(mode=0o755, parents=True, exist_ok=True)
            paths = sorted(each for each in self._priorities.iterdir() if _is_priority(each))
        except OSError as error:
            raise _unreadable(self._priorities, error) from error
        return Documents(main=main, priorities=tuple(_document(path) for path in paths))


def _is_priority(path: Path) -> bool:
    return path.suffix == _SUFFIX and path.is_file()


def _document(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) > _LARGEST:
        raise ConfigError(f"{path}: it has more than {_LARGEST} bytes, which is no configuration")
    return Document(name=path.name, content=content)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: it cannot be read: {error.strerror}")


if TYPE_CHECKING:
    _reader: type[Reader] = FileReader
