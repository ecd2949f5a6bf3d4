"""PEM, as files or as bytes: read, told apart, and handed to what takes files only."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from kratos.errors import ConfigError

__all__ = [
    "Pem",
    "Stamp",
    "as_file",
    "is_content",
    "leaf_of",
    "name_of",
    "read",
    "require_key",
    "shown",
    "stamp_of",
]

Pem: TypeAlias = "str | os.PathLike[str] | bytes"
"""A PEM file by its path, or its content as bytes."""

Stamp: TypeAlias = tuple[int, int, int] | None

_LARGEST: Final = 1 << 20  # bytes; bundles of all public roots have a fifth of it
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL
)
_BEGIN: Final = "-----BEGIN "
_KEY: Final = re.compile(rb"-----BEGIN ((?:[A-Z]+ )*)PRIVATE KEY-----")


def name_of(pem: Pem, what: str) -> str:
    """Return how to call a PEM in errors: never by its content."""
    if isinstance(pem, bytes) or is_content(pem):
        return f"the {what}"
    return f"the {what} {os.fspath(pem)}"


def shown(pem: Pem | None) -> str:
    """Return a PEM for ``repr``: never its content, which may be a private key."""
    return "***" if pem is not None and is_content(pem) else repr(pem)


def is_content(pem: Pem) -> bool:
    """Tell whether it is PEM itself, and no path."""
    return isinstance(pem, bytes) or _BEGIN in os.fspath(pem)


def read(pem: Pem, what: str) -> bytes:
    """Return the content.

    Raises:
        ConfigError: The file cannot be read, or is too large; names it.
    """
    if isinstance(pem, bytes):
        return pem
    try:
        with Path(pem).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(pem, what, error) from _cause(pem, error)
    if len(content) > _LARGEST:
        raise ConfigError(f"{name_of(pem, what)} has more than {_LARGEST} bytes; give a PEM file")
    return content


def stamp_of(pem: Pem, what: str) -> Stamp:
    """Return what changes with a file; ``None`` for bytes.

    Raises:
        ConfigError: There is no such file; names it.
    """
    if isinstance(pem, bytes):
        return None
    try:
        stat = Path(pem).stat()
    except OSError as error:
        raise _unreadable(pem, what, error) from _cause(pem, error)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def leaf_of(content: bytes, name: str) -> str:
    """Return the first certificate.

    Raises:
        ConfigError: There is none.
    """
    found = _CERTIFICATE.search(content)
    if found is None:
        raise ConfigError(f"{name} holds no certificate in PEM")
    return found[0].decode("ascii", "replace")


def require_key(content: bytes, name: str, *, password: bool = False) -> None:
    """Refuse what is no private key that can be used.

    Args:
        content: PEM.
        name: How to call it.
        password: Whether it may be encrypted.

    Raises:
        ConfigError: There is none, or it is encrypted.
    """
    found = _KEY.search(content)
    if found is None:
        raise ConfigError(f"{name} holds no private key in PEM")
    encrypted = b"ENCRYPTED" in found[1] or b"Proc-Type: 4,ENCRYPTED" in content
    if encrypted and not password:
        raise ConfigError(
            f"{name} is encrypted, and nobody is there to type its passphrase: store it without "
            "one, readable by the service alone"
        )


@contextmanager
def as_file(content: bytes) -> Generator[str]:
    """Return a path under which content can be read for a while: ``ssl`` loads keys from files.

    The very bytes that were checked are loaded, whatever happens to the file meanwhile. On Linux
    they stay in memory; elsewhere they are in a folder that only this user may read.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("kratos-pem", os.MFD_CLOEXEC)
        with os.fdopen(descriptor, "w+b", buffering=0) as file:
            file.write(content)
            yield f"/proc/self/fd/{descriptor}"
        return
    with tempfile.TemporaryDirectory(prefix="kratos-") as folder:
        path = Path(folder) / "pem"
        path.write_bytes(content)
        yield str(path)


def _unreadable(pem: Pem, what: str, error: OSError) -> ConfigError:
    assert not isinstance(pem, bytes), "nothing is read"
    if is_content(pem):
        return ConfigError(f"{name_of(pem, what)} is PEM itself, in text: pass bytes, or a path")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ConfigError(f"{name_of(pem, what)} cannot be read: {reason}")


def _cause(pem: Pem, error: OSError) -> OSError | None:
    """Return what may be told of an error: its text holds what was taken for a path."""
    return None if is_content(pem) else error
