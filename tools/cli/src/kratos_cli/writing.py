"""Files that are written as a whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["write_whole"]

_WRITABLE: Final = 0o222  # by anybody
_NEW: Final = 0o666


def write_whole(path: Path, content: bytes) -> None:
    """Write a file; whoever reads it, or interrupts this, finds the old content or the new one.

    A link stays one, and permissions stay as they are. What is no regular file, such as
    ``/dev/stdout``, is written to as it is.

    Raises:
        OSError: It cannot be written, also because nobody may write to it.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    mode = _mode(target)
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:64]}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """Return the permissions that a file has, or will have."""
    if not target.exists():
        mask = os.umask(0)
        os.umask(mask)
        return _NEW & ~mask
    mode = target.stat().st_mode
    if not mode & _WRITABLE:  # a new file would take its place all the same
        raise PermissionError(errno.EACCES, "it is read-only", str(target))
    return mode
