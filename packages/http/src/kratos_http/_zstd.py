"""Zstandard: of the standard library from Python 3.14 on, before that of its backport."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

__all__ = ["has_zstd", "zstd"]

_MODULE: Final = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"


def has_zstd() -> bool:
    """Tell whether it is there."""
    package = _MODULE.partition(".")[0]
    return find_spec(package) is not None and find_spec(_MODULE) is not None


def zstd() -> Any:
    """Return the module.

    Raises:
        ImportError: It is not there.
    """
    return import_module(_MODULE)
