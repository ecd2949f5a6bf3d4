"""Programs beside the tests: servers of others, to be killed, frozen and started again."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

__all__ = ["Program", "free_port", "free_ports"]

# Below those that the system gives to connections: a server that is away for a while would not get
# one of these back.
_PORTS: Final = range(12_000, 30_000)
_LOOK_EVERY: Final = 0.02  # seconds
_LAST_WORDS: Final = 4000  # characters of a log that an error shows

_random: Final = random.SystemRandom()  # the other one may begin anew with each test


class Program(ABC):
    """A server of one's own, which has its address and its data still when it is started again.

    What it prints is appended to the file ``log`` of its folder.

    Args:
        folder: Where its files are; it is made.

    Attributes:
        folder: The same.
        patience: Seconds that it may take to serve.
    """

    patience: ClassVar[float] = 60.0

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the program and its arguments; called at each start."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether it serves; must not take long."""

    def start(self) -> None:
        """Start it, and return when it serves.

        Raises:
            AssertionError: It ended, or did not serve in time; with the end of its log. It runs
                no longer then.
        """
        self.launch()
        try:
            self.wait()
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start it without waiting for it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Return when it serves; see ``start``."""
        end = time.monotonic() + self.patience
        while not self.answers():
            if self._running().poll() is not None:
                raise AssertionError(f"{self._what()} ended by itself: {self.last_words()}")
            if time.monotonic() > end:
                raise AssertionError(
                    f"{self._what()} did not serve within {self.patience:g} s: {self.last_words()}"
                )
            time.sleep(_LOOK_EVERY)

    def kill(self) -> None:
        """End it at once, as the out-of-memory killer does; no harm if it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it do nothing, with all connections open, until ``thaw``."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    def last_words(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self._what()} is not running"
        return self._process

    def _what(self) -> str:
        return f"{type(self).__name__} in {self.folder}"


def free_port() -> int:
    """Return a port on which nobody listens; see ``free_ports``."""
    return free_ports(1)[0]


def free_ports(count: int, *, beside: Sequence[int] = ()) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens, each of them once.

    No connection is given one of them, so a server that is away for a while gets its own back. Nor
    is another process that asks here, until this one has ended.

    Args:
        count: How many.
        beside: What is to be free, too, as distances from each: ports that a server derives.
    """
    found: list[int] = []
    with _given() as given:
        while len(found) < count:
            port = _random.choice(_PORTS)
            places = {port + each for each in (0, *beside)}
            if places & given.keys() or not all(map(_is_free, places)):
                continue
            given |= dict.fromkeys(places, os.getpid())
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def _given() -> Generator[dict[int, int]]:
    """Hold the table of ports that processes were given, with their ids; it is kept at the end.

    A port that is free may be another's all the same, whose server is only about to start.
    """
    place = Path(tempfile.gettempdir(), f"kratos-ports-{os.getuid()}")
    with place.open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        rows = (tuple(map(int, line.split())) for line in file)
        given = {port: owner for port, owner in rows if _is_running(owner)}
        if len(given) > len(_PORTS) // 2:
            given.clear()  # of processes that ask for thousands, most have ended with theirs
        yield given
        file.truncate(0)
        file.writelines(f"{port} {owner}\n" for port, owner in given.items())


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
