"""grpcio does not survive a fork: its threads stay behind, and the child's first call hangs."""

from __future__ import annotations

import gc
import os
import sys

from kratos.errors import StartupError
from kratos.process import add_probe

__all__ = ["claim", "in_use"]

_KINDS = ("Channel", "Server")

_claimed: list[int] = []  # the first process here that made gRPC objects; a fork copies it


def claim() -> None:
    """Note that this process is about to make gRPC objects.

    Raises:
        StartupError: A process that had made some was forked, and this is the child.
    """
    here = os.getpid()
    if not _claimed:
        _claimed.append(here)
    elif _claimed[0] != here:
        raise StartupError(
            f"process {_claimed[0]} used gRPC and was then forked into this one ({here}), where "
            "calls would hang: start processes by exec (subprocess, or multiprocessing with "
            "'spawn'), or fork before gRPC is used"
        )


def in_use() -> str | None:
    """Tell by what this process uses gRPC: through this package, or objects made by others."""
    if _claimed:
        return "gRPC (a server or a connection of kratos-grpc was started here)"
    loaded = [module for name in ("grpc", "grpc.aio") if (module := sys.modules.get(name))]
    if not loaded:
        return None
    objects: tuple[type, ...] = tuple(getattr(each, kind) for each in loaded for kind in _KINDS)
    kinds: set[type[object]] = {type(found) for found in gc.get_objects()}
    found = sorted(kind.__qualname__ for kind in kinds if issubclass(kind, objects))
    return f"gRPC (there is a {found[0]})" if found else None


add_probe(in_use)
