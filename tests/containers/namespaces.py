"""Runs programs below another root, with processes, mounts and networks of their own."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.containers.inside import Settings

__all__ = ["entering", "joining", "lacking"]

_INSIDE: Final = str(Path(__file__).with_name("inside.py"))
_SPACES: Final = ("--mount", "--pid")


@functools.cache
def lacking() -> str:
    """Return what this machine lacks to run them; empty for nothing."""
    if sys.platform != "linux":
        return "namespaces of Linux"
    for program in ("nsenter", "unshare"):
        if shutil.which(program) is None:
            return f"{program} of util-linux"
    script = "mount -t proc proc /proc && mount --bind / /mnt && chroot / true"
    command = ["unshare", *_SPACES, "--net", "--fork", "sh", "-c", script]
    allowed = subprocess.run(command, capture_output=True, check=False).returncode == 0
    return "" if allowed else "namespaces, mounts and chroot, which are root's"


def entering(settings: Settings) -> list[str]:
    """Return the command that becomes a program in namespaces of its own, as process 1."""
    network = ["--net"] if settings["alone"] else []
    return ["unshare", *_SPACES, *network, "--fork", "--kill-child", *_python(settings)]


def joining(process: int, settings: Settings) -> list[str]:
    """Return the command that becomes a program in the namespaces of a process."""
    network = ["--net"] if settings["alone"] else []
    target = ["--target", str(process)]
    return ["nsenter", *target, *_SPACES, *network, *_python({**settings, "joins": True})]


def _python(settings: Settings) -> Sequence[str]:
    return [sys.executable, "-I", _INSIDE, json.dumps(settings)]
