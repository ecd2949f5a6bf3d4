"""inotify on the running event loop, through the C library (Linux; see inotify(7))."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from typing import Final

__all__ = ["Inotify", "InotifyWatch"]

_CLOSE_WRITE: Final = 0x00000008
_MOVED_FROM: Final = 0x00000040
_MOVED_TO: Final = 0x00000080
_CREATE: Final = 0x00000100
_DELETE: Final = 0x00000200
_DELETE_SELF: Final = 0x00000400
_MOVE_SELF: Final = 0x00000800
_OVERFLOW: Final = 0x00004000
_IGNORED: Final = 0x00008000
_ONLY_DIRECTORIES: Final = 0x01000000
_IS_DIRECTORY: Final = 0x40000000

_MASK: Final = (
    _CLOSE_WRITE
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _ONLY_DIRECTORIES
)
_EVENT: Final = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_BUFFER: Final = 65536  # bytes, many times the longest event


class InotifyWatch:
    """A watch of one directory; see ``kratos.watch.directory.DirectoryWatch``."""

    __slots__ = ("_changed", "_inotify", "_number")

    def __init__(self, inotify: Inotify, number: int) -> None:
        self._inotify = inotify
        self._number: int | None = number
        self._changed = asyncio.Event()

    @property
    def alive(self) -> bool:
        return self._number is not None

    async def wait(self) -> None:
        if self._number is not None:
            await self._changed.wait()
        self._changed.clear()

    def close(self) -> None:
        if self._number is not None:
            self._inotify.forget(self._number, self)
            self.die()

    def notify(self) -> None:
        """Something may have changed."""
        self._changed.set()

    def die(self) -> None:
        """Nothing will be heard any more."""
        self._number = None
        self._changed.set()


class Inotify:
    """One inotify descriptor, open while there are watches.

    Users have few descriptors (128 by default) and many watches, hence the sharing.
    """

    __slots__ = ("_fd", "_libc", "_loop", "_paths", "_watches")

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watches: dict[int, set[InotifyWatch]] = {}
        self._paths: dict[int, bytes] = {}

    def watch(self, path: str) -> InotifyWatch:
        """Watch a directory, on the running event loop.

        Raises:
            OSError: It is no directory, or the user has no watch or descriptor left.
        """
        if self._fd < 0:
            self._open()
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(path), _MASK)
        if number < 0:
            error = _error(path)
            self._close_if_unused()
            raise error
        # The system gives one number per directory, however often it is asked.
        watch = InotifyWatch(self, number)
        self._watches.setdefault(number, set()).add(watch)
        self._paths.setdefault(number, os.path.abspath(os.fsencode(path)))  # noqa: PTH100  bytes
        return watch

    def forget(self, number: int, watch: InotifyWatch) -> None:
        """Drop one watch."""
        users = self._watches.get(number)
        if users is None:
            return
        users.discard(watch)
        if not users:
            del self._watches[number], self._paths[number]
            self._libc.inotify_rm_watch(self._fd, number)
        self._close_if_unused()

    def _open(self) -> None:
        fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            raise _error("inotify")
        try:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(fd, self.drain)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def _close_if_unused(self) -> None:
        if self._watches or self._fd < 0 or self._loop is None:
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = -1

    def drain(self) -> None:
        """Read what has happened and tell the watches."""
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = data[at : at + length].rstrip(b"\0")
            at += length
            if mask & _OVERFLOW:
                for users in list(self._watches.values()):
                    _notify(users)
            elif mask & (_IGNORED | _MOVE_SELF):
                self._lose(number, remove=not mask & _IGNORED)
            elif not mask & _CREATE or mask & _IS_DIRECTORY or self._is_link(number, name):
                _notify(self._watches.get(number, ()))

    def _is_link(self, number: int, name: bytes) -> bool:
        """Tell whether what was made is whole, as a link is; a file is when it is closed."""
        path = self._paths.get(number)
        return path is not None and os.path.islink(os.path.join(path, name))  # noqa: PTH114, PTH118

    def _lose(self, number: int, *, remove: bool) -> None:
        users = self._watches.pop(number, None)
        if users is None:
            return
        del self._paths[number]
        if remove:
            # It lives on under another name, where nobody is interested in it.
            self._libc.inotify_rm_watch(self._fd, number)
        for watch in users:
            watch.die()
        self._close_if_unused()


def _notify(users: set[InotifyWatch] | tuple[()]) -> None:
    for watch in users:
        watch.notify()


def _error(path: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)
