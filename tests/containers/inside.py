"""Becomes a program of a container; namespaces of its own are there already.

``python inside.py SETTINGS`` does so, by settings in JSON: those of ``Settings``.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Final, TypedDict

_READ_ONLY, _REMOUNT, _BIND, _DEEP = 1, 32, 4096, 16384
_DEVICES: Final = ("full", "null", "random", "urandom", "zero")
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
_SET_SIGNAL_AT_PARENTS_DEATH: Final = 1


class Settings(TypedDict):
    """What is to be run, and where.

    Attributes:
        root: Folder that is ``/`` for it.
        system: Pairs of folders: outside, and within the root; the latter are read-only.
        volumes: Paths within the root that can be written although nothing else can; ``None`` for
            all of it.
        alone: Whether it has a network of its own, without a way out.
        joins: Whether everything was mounted before, by the program that it joins.
        folder: Its current one, within the root.
        user: User and group.
        environment: Its variables.
        command: Program and arguments.
    """

    root: str
    system: list[tuple[str, str]]
    volumes: list[str] | None
    alone: bool
    joins: bool
    folder: str
    user: tuple[int, int]
    environment: dict[str, str]
    command: list[str]


def main(settings: Settings) -> None:
    """Become that program."""
    if not settings["joins"]:
        _mount_all(settings)
        if settings["alone"]:
            _bring_up("lo")
    os.chroot(settings["root"])
    os.chdir(settings["folder"])
    user, group = settings["user"]
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    # What unshare and nsenter have asked for, too; it is forgotten when the user changes.
    ctypes.CDLL(None).prctl(_SET_SIGNAL_AT_PARENTS_DEATH, signal.SIGKILL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    program, environment = settings["command"][0], settings["environment"]
    try:
        os.execvpe(program, settings["command"], environment)
    except OSError as error:
        sys.exit(f"{program!r} cannot be run: {error.strerror}")


def _mount_all(settings: Settings) -> None:
    root = Path(settings["root"])
    for volume in settings["volumes"] or ():
        _bind(root / volume.lstrip("/"), root / volume.lstrip("/"))
    if settings["volumes"] is not None:
        _bind(root, root, deep=True)
        _mount(None, root, None, _REMOUNT | _BIND | _READ_ONLY)
    for outside, within in settings["system"]:
        place = root / within.lstrip("/")
        _bind(Path(outside), place)
        _mount(None, place, None, _REMOUNT | _BIND | _READ_ONLY)
    for name in _DEVICES:
        _bind(Path("/dev", name), root / "dev" / name)
    _mount("proc", root / "proc", "proc", 0)


def _bind(outside: Path, within: Path, *, deep: bool = False) -> None:
    _mount(str(outside), within, None, _BIND | (_DEEP if deep else 0))


def _mount(source: str | None, target: Path, kind: str | None, flags: int) -> None:
    words = [None if word is None else word.encode() for word in (source, str(target), kind)]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(*words, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def _bring_up(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", interface.encode(), 0)
        answer = fcntl.ioctl(any_socket, _GET_FLAGS, request)
        flags: int = struct.unpack("16sH14x", answer)[1] | _UP
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", interface.encode(), flags))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
