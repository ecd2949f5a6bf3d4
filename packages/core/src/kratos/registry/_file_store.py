"""Files of one service: writing whole, taking out only what is one's own, reading what is alive.

All calls are short and local, so they run on the event loop. Nothing is synced to the disk:
after a crash of the machine nobody is alive whose entry would have to survive.
"""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kratos.clock import Clock
from kratos.registry._file_layout import HIDDEN, SUFFIX, Entry, decode, encode
from kratos.registry._skips import Skips

__all__ = ["Scanner", "put", "read_content", "read_entry", "take_out", "touch"]

_LARGEST: Final = 1 << 20  # bytes of one file
_DEAD: Final = 3  # ttls without a touch after which a file is cleared away
_ABANDONED: Final = 60.0  # seconds after which a temporary file has no writer any more
_NEVER: Final = float("inf")
_ODD: Final = "not a regular file"
_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)


def put(path: Path, entry: Entry, *, clock: Clock) -> None:
    """Write a file so that readers see the old content or the new, and never a part."""
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            file.write(encode(entry))
        touch(temporary, clock=clock)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def touch(path: Path, *, clock: Clock) -> None:
    """Say that the owner of a file is alive."""
    now = int(clock.wall() * 1e9)
    os.utime(path, ns=(now, now))


def read_entry(path: Path) -> Entry | None:
    """Return what a file holds now; ``None`` if there is none, or nobody can decode it."""
    try:
        return decode(read_content(path))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def read_content(path: Path) -> bytes:
    """Return the bytes of a file, whatever somebody may have put in its place.

    Opening a pipe would wait for its writer, and a device may have no end.

    Raises:
        ValueError: It is no regular file, or too large.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError(_ODD) from error
        raise
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError(_ODD)
        if info.st_size > _LARGEST:
            raise ValueError(f"larger than {_LARGEST} bytes")
    except BaseException:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor has no path
        return file.read(_LARGEST)


def take_out(path: Path, *, if_: Callable[[Path], bool]) -> None:
    """Remove a file if it still is the one meant, however others write it meanwhile.

    It is renamed first, so that what is judged is what is removed; a wrong catch goes back,
    unless its place was taken.
    """
    if not if_(path):
        return
    caught = _temporary(path)
    with suppress(FileNotFoundError):
        path.rename(caught)
        try:
            if not if_(caught):
                # If the file system cannot link, its owner finds it gone and writes it again.
                with suppress(OSError):
                    os.link(caught, path)
        finally:
            caught.unlink()


@dataclass(slots=True)
class _Seen:
    at: float  # clock time of the last look
    expires: float  # clock time
    version: tuple[int, int, int]
    entry: Entry | None


class Scanner:
    """Reads the living entries of a service, again and again.

    Who looks once has only the wall clock to judge a file's age by. Who keeps looking sees
    whether it is touched, and counts the time without a touch on its own monotonic clock, so
    that a jump of the wall clock neither kills the living nor revives the dead.

    Attributes:
        next_expiry: Clock time at which the next entry expires if nobody touches it.
    """

    __slots__ = ("_clock", "_path", "_seen", "_skips", "next_expiry")

    def __init__(self, path: Path, *, clock: Clock, skips: Skips) -> None:
        self._path = path
        self._clock = clock
        self._skips = skips
        self._seen: dict[str, _Seen] = {}
        self.next_expiry = _NEVER

    def scan(self) -> tuple[Entry, ...]:
        """Return the living entries in the order of their file names."""
        now = self._clock.time()
        seen: dict[str, _Seen] = {}
        with os.scandir(self._path) as files:
            for file in files:
                with suppress(FileNotFoundError):
                    info = file.stat(follow_symlinks=False)
                    if file.name.startswith(HIDDEN):
                        self._clear_abandoned(Path(file.path), info)
                    elif file.name.endswith(SUFFIX):
                        seen[file.name] = self._look(Path(file.path), info, now)
        self._seen = seen
        alive = [
            (name, one)
            for name, one in sorted(seen.items())
            if one.entry is not None and one.expires > now
        ]
        self.next_expiry = min((one.expires for _, one in alive), default=_NEVER)
        return tuple(one.entry for _, one in alive if one.entry is not None)

    def _look(self, path: Path, info: os.stat_result, now: float) -> _Seen:
        version = (info.st_ino, info.st_size, info.st_mtime_ns)
        before = self._seen.get(path.name)
        if before is not None and before.version == version:
            before.at = now
            self._clear_dead(path, before)
            return before
        entry = self._read(path, info, version)
        expires = _NEVER
        if entry is not None and entry.ttl is not None:
            silent = max(0.0, self._clock.wall() - info.st_mtime_ns / 1e9)
            if before is not None:
                silent = min(silent, now - before.at)
            expires = now + entry.ttl - silent
        seen = _Seen(at=now, expires=expires, version=version, entry=entry)
        self._clear_dead(path, seen)
        return seen

    def _read(
        self, path: Path, info: os.stat_result, version: tuple[int, int, int]
    ) -> Entry | None:
        try:
            if not stat.S_ISREG(info.st_mode):
                raise ValueError(_ODD)  # a socket cannot even be opened
            return decode(read_content(path))
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            self._skips.skip(str(path), error, version=version)
            return None

    def _clear_dead(self, path: Path, seen: _Seen) -> None:
        if seen.entry is not None and seen.entry.ttl is not None and seen.expires <= seen.at:
            limit = _DEAD * seen.entry.ttl
            with suppress(OSError):  # who may only read leaves it to those who may write
                take_out(path, if_=lambda file: self._age(file) > limit)

    def _clear_abandoned(self, path: Path, info: os.stat_result) -> None:
        if self._clock.wall() - info.st_mtime > _ABANDONED and stat.S_ISREG(info.st_mode):
            with suppress(OSError):  # as above
                path.unlink()

    def _age(self, path: Path) -> float:
        try:
            return self._clock.wall() - path.stat().st_mtime
        except FileNotFoundError:
            return 0.0


def _temporary(path: Path) -> Path:
    return path.with_name(f"{HIDDEN}{uuid.uuid4().hex}")
