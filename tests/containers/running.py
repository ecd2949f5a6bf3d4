"""Runs images: a process of its own world, its output, programs beside it, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.containers.building import Image
from tests.containers.inside import Settings
from tests.containers.namespaces import entering, joining

__all__ = ["Container", "FailedContainerError", "running"]

_LONGEST: Final = 60.0  # seconds for anything that it is waited for


class FailedContainerError(Exception):
    """A container does not do what it is there for; the text has what it said."""


class Container:
    """A container that runs: process 1 is its program.

    Args:
        image: What it runs.
        process: What has started it.
    """

    def __init__(self, image: Image, process: subprocess.Popen[str]) -> None:
        self._image = image
        self._process = process
        self._said: list[str] = []

    @property
    def said(self) -> str:
        """What it has said, as far as that was read."""
        return "".join(self._said)

    @property
    def pid(self) -> int:
        """Its process 1, as others see it.

        Raises:
            FailedContainerError: It has ended.
        """
        starter = self._process.pid
        children = Path(f"/proc/{starter}/task/{starter}/children")
        while self._process.poll() is None:
            found = children.read_text().split()
            if found:
                return int(found[0])
            time.sleep(0.005)
        raise FailedContainerError(f"it has ended with {self._process.returncode}: {self.said}")

    @property
    def user(self) -> tuple[int, int]:
        """User and group of its process 1."""
        found = Path(f"/proc/{self.pid}").stat()
        return found.st_uid, found.st_gid

    def until(self, text: str) -> str:
        """Return what it has said when a line has a text.

        Raises:
            FailedContainerError: It has ended before, or has not said it within a minute.
        """
        assert self._process.stdout is not None
        with self._at_most(_LONGEST):
            for line in self._process.stdout:
                self._said.append(line)
                if text in line:
                    return self.said
        raise FailedContainerError(f"it has ended without {text!r}: {self.said}")

    def run(self, *command: str) -> str:
        """Return what a program says that is run beside it, as a probe is.

        Raises:
            FailedContainerError: That has failed.
        """
        settings = _settings(self._image, command)
        done = subprocess.run(
            joining(self.pid, settings),
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
        if done.returncode != 0:
            raise FailedContainerError(f"{command} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def stop(self, *, within: float) -> int:
        """Ask it to end, as ``docker stop`` does, and return its exit status.

        Args:
            within: Seconds after which it would be killed.

        Raises:
            FailedContainerError: It has not ended by then.
        """
        os.kill(self.pid, signal.SIGTERM)
        killed = threading.Event()
        with self._at_most(within, killed):
            said, _ = self._process.communicate()
        self._said.append(said)
        if killed.is_set():
            raise FailedContainerError(f"it has not ended within {within:g} s: {self.said}")
        return self._process.returncode

    @contextmanager
    def _at_most(self, seconds: float, killed: threading.Event | None = None) -> Generator[None]:
        """Kill it if the block takes longer."""

        def kill() -> None:
            if killed is not None:
                killed.set()
            self._process.kill()  # and with it all that it has started

        timer = threading.Timer(seconds, kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


@contextmanager
def running(image: Image) -> Generator[Container]:
    """Run an image with a network of its own, and nothing to write to but its volumes."""
    settings = _settings(image, [*image.entrypoint, *image.command])
    with subprocess.Popen(
        entering(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Container(image, process)
        finally:
            process.kill()


def _settings(image: Image, command: Sequence[str]) -> Settings:
    return {**image.settings(command), "alone": True, "volumes": image.volumes}
