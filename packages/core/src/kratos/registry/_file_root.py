"""Where a file registry lives, and how its failures are called."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kratos.errors import KratosError, RegistryUnavailable
from kratos.limit import describe
from kratos.registry._file_layout import service_path

__all__ = ["Root", "default_root"]

_OPEN_TO_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Root:
    """The directory of a file registry.

    Args:
        path: The directory; ``None`` for the default one, which must be the user's alone.
    """

    __slots__ = ("_private", "path")

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._private = path is None
        if path is None:
            self.path = default_root(os.environ, user=_user(), temporary=tempfile.gettempdir())
        else:
            self.path = Path(path)

    def __str__(self) -> str:
        return f"file://{self.path}"

    def prepare(self, service: str) -> Path:
        """Return the directory of a service, made if it is missing."""
        if self._private:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check(self.path.parent)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._private:
            self._check(self.path)
        path = service_path(self.path, service)
        path.mkdir(exist_ok=True)
        return path

    @contextmanager
    def failing_to(self, action: str) -> Generator[None]:
        """Translate errors of the file system."""
        try:
            yield
        except KratosError:
            raise
        except OSError as error:
            raise RegistryUnavailable(f"{self} cannot {action}: {describe(error)}") from error

    def _check(self, path: Path) -> None:
        # In a directory that all users write to, somebody else may have made it first.
        info = path.lstat()
        if (
            not stat.S_ISDIR(info.st_mode)
            or info.st_uid != _user()
            or info.st_mode & _OPEN_TO_OTHERS
        ):
            raise RegistryUnavailable(
                f"{path} must be a directory that only this user can write to; "
                "remove it, or name another directory for the registry"
            )


def default_root(environ: Mapping[str, str], *, user: int, temporary: str) -> Path:
    """Return the directory that the programs of one user share on this machine."""
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute():
        return Path(runtime) / "kratos" / "registry"
    return Path(temporary) / f"kratos-{user}" / "registry"


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
