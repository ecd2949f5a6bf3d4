"""Files below a folder, found and read so that no path leads out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from kratos.offload import offload

__all__ = ["Folder", "OpenFile"]

_PIECE: Final = 128 * 1024
_FORBIDDEN: Final = frozenset("\\:\0")
_FLAGS: Final = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would block for ever
    | getattr(os, "O_BINARY", 0)
)
_FOLDER_FLAGS: Final = _FLAGS | getattr(os, "O_DIRECTORY", 0)
_STEPWISE: Final = os.open in os.supports_dir_fd


class OpenFile:
    """A regular file that is open for reading; ``close`` it.

    One that nobody waits for any more, because its request was cancelled, closes itself.

    Attributes:
        size: Bytes, when it was opened.
        modified: When it was last changed, in whole seconds since the epoch.
        etag: Strong tag: changes with size and time of change.
    """

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self._descriptor = descriptor
        self.size = status.st_size
        self.modified = int(status.st_mtime)
        self.etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'

    async def pieces(self, part: range) -> AsyncIterator[bytes]:
        """Iterate over a part in pieces of at most 128 KiB, each read in a thread.

        Raises:
            EOFError: The file has become shorter.
            OSError: It cannot be read.
        """
        at = part.start
        while at < part.stop:
            piece = await offload(_read, self._descriptor, min(_PIECE, part.stop - at), at)
            if not piece:
                raise EOFError("the file has become shorter while it was sent")
            at += len(piece)
            yield piece

    def close(self) -> None:
        """Close it. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class Folder:
    """A folder whose files are served.

    Symbolic links count by where they lead: files outside of the folder do not exist. Nor do
    files and folders whose names begin with a dot, unless ``hidden``.

    Args:
        path: The folder.
        hidden: Whether names that begin with a dot exist.
    """

    def __init__(self, path: Path, *, hidden: bool = False) -> None:
        self._path = path
        self._hidden = hidden

    def open(self, path: str) -> OpenFile | None:
        """Open a file; ``None`` if there is none that may be served. Blocks.

        Args:
            path: Relative to the folder, with slashes.
        """
        real = self._real(path)
        if real is None:
            return None
        with suppress(OSError):
            descriptor = self.open_real(real)
            try:
                status = os.fstat(descriptor)
                if stat.S_ISREG(status.st_mode):
                    found, descriptor = OpenFile(descriptor, status), -1
                    return found
            finally:
                if descriptor >= 0:
                    os.close(descriptor)
        return None

    def is_folder(self, path: str) -> bool:
        """Tell whether there is a folder of that name. Blocks."""
        real = self._real(path)
        try:
            return real is not None and self._path.resolve().joinpath(*real).is_dir()
        except OSError:  # for instance a name that is too long
            return False

    def _real(self, path: str) -> Sequence[str] | None:
        """Return the names that lead from the folder to where the path leads, without links."""
        names = path.split("/") if path else []
        if not all(self._may_be(name) for name in names):
            return None
        root = self._path.resolve()
        try:
            real = root.joinpath(*names).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, or no name of this system
            return None
        return real.relative_to(root).parts if real.is_relative_to(root) else None

    def _may_be(self, name: str) -> bool:
        if name in ("", ".", "..") or _FORBIDDEN.intersection(name) or not name.isprintable():
            return False
        return self._hidden or not name.startswith(".")

    def open_real(self, names: Sequence[str]) -> int:
        """Open what names lead to, following no link: one was put there meanwhile.

        Raises:
            OSError: It is not there, or may not be read.
        """
        root = self._path.resolve()
        if not _STEPWISE or not names:
            return os.open(root.joinpath(*names), os.O_RDONLY | _FLAGS)
        at = os.open(root, os.O_RDONLY | _FOLDER_FLAGS)
        try:
            for name in names[:-1]:
                inner = os.open(name, os.O_RDONLY | _FOLDER_FLAGS, dir_fd=at)
                os.close(at)
                at = inner
            return os.open(names[-1], os.O_RDONLY | _FLAGS, dir_fd=at)
        finally:
            os.close(at)


def _read(descriptor: int, size: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, at)
    os.lseek(descriptor, at, os.SEEK_SET)
    return os.read(descriptor, size)
