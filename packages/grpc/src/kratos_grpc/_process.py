"""gRPC does not survive a fork: its threads stay behind, and the child's first call hangs."""

from __future__ import annotations

import os

from kratos.errors import StartupError

__all__ = ["claim"]

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
