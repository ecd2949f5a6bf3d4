"""Where recorded streams go: records of the log, or a file that does not grow without end."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from kratos.errors import ConfigError
from kratos.log import Level, Logger
from kratos.offload import offload
from kratos.process import worker_slot
from kratos_gateway.middleware.recorder import Stream

__all__ = ["FileSink", "LogSink"]

_PRIVATE: Final = 0o600  # bodies may hold secrets


class LogSink:
    """Writes streams as records at INFO.

    Args:
        logger: Where to.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger: Final = logger

    async def write(self, stream: Stream, /) -> None:
        """Write one."""
        self._logger.log(Level.INFO, "stream", stream.to_mapping())

    async def aclose(self) -> None:
        """Do nothing."""


class FileSink:
    """Writes streams as lines of JSON; a file that is full becomes ``<path>.1``, over the last one.

    Each worker has a file of its own, ``<path>.worker<number>``.

    Args:
        path: Of the file.
        most: Bytes of it.

    Raises:
        ConfigError: There is no path, or its folder is not there.
    """

    def __init__(self, path: str, most: int) -> None:
        if not path:
            raise ConfigError("file.path is empty: write where streams are kept")
        slot = worker_slot()
        self._path: Final = Path(path if slot is None else f"{path}.worker{slot}")
        self._most: Final = most
        if not self._path.parent.is_dir():
            raise ConfigError(f"file.path: there is no folder {str(self._path.parent)!r}")

    async def write(self, stream: Stream, /) -> None:
        """Write one.

        Raises:
            OSError: It cannot be written.

        Cancellation: it is written all the same.
        """
        await offload(self._append, stream)

    async def aclose(self) -> None:
        """Do nothing: the file is open only while it is written to."""

    def _append(self, stream: Stream) -> None:
        line = json.dumps(stream.to_mapping(), separators=(",", ":")).encode() + b"\n"
        path = self._path
        if path.exists() and path.stat().st_size + len(line) > self._most:
            path.replace(path.with_name(f"{path.name}.1"))
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _PRIVATE)
        with os.fdopen(number, "wb") as file:
            file.write(line)
