"""Gets repositories of git from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import IO, Final

from kratos_cli.ending import held_back
from kratos_cli.failure import CommandFailure
from kratos_cli.progress import Progress

__all__ = ["clone", "local"]

_STEP: Final = re.compile(r"(?:remote: )?(\w[\w ]*):\s+\d+% \((\d+)/(\d+)\)")
_LAST_WORDS: Final = 1.0  # seconds for the last lines of a process that has ended


def clone(
    repo: str,
    folder: Path,
    *,
    what: str,
    timeout: float,
    options: Sequence[str] = (),
    quiet: bool = False,
) -> None:
    """Clone a repository into a folder that is not there yet.

    Args:
        repo: Whatever ``git clone`` takes; given to it as it is.
        folder: Where it goes.
        what: What is wanted of it, for messages: ``the template``.
        timeout: Seconds for all of it.
        options: Further options of ``git clone``.
        quiet: Show no progress, on a terminal either.

    Raises:
        CommandFailure: There is no git, it cannot get the repository, or not in time.
    """
    try:
        with Progress.on_terminal(quiet=quiet) as progress:
            loud = "--progress" if progress.shown else "--quiet"
            command = ["git", "clone", loud, *options, "--", repo, str(folder)]
            status, said = _run(command, timeout, progress)
    except FileNotFoundError:
        raise CommandFailure(f"there is no folder {repo}, and no git to clone it with") from None
    except subprocess.TimeoutExpired:
        raise CommandFailure(
            f"{repo} was not cloned within {timeout:g} s; --timeout gives it longer"
        ) from None
    if status != 0:
        reason = said or f"git ended with {status}"
        raise CommandFailure(f"{what} cannot be had from {repo}: {reason}")


def _run(command: Sequence[str], timeout: float, progress: Progress) -> tuple[int, str]:
    """Run git, and return its exit status and what it says besides how far it is.

    Raises:
        TimeoutExpired: It took too long, and is ended.
    """
    said: list[str] = []
    with ExitStack() as ending:
        with held_back():
            process = subprocess.Popen(command, stderr=subprocess.PIPE)
            assert process.stderr is not None
            # Helpers of git may have the pipe open after it was ended; nobody waits for them.
            reading = Thread(target=_read, args=(process.stderr, said, progress), daemon=True)
            ending.callback(reading.join, _LAST_WORDS)
            ending.callback(_end, process)
            reading.start()
        status = process.wait(timeout)
    return status, "\n".join(said)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _read(stream: IO[bytes], said: list[str], progress: Progress) -> None:
    with stream:
        for line in _lines(stream):
            step = _STEP.match(line)
            if step is not None and int(step[3]):
                progress.step(int(step[2]), int(step[3]), step[1].lower())
            elif step is None and line and not line.startswith("Cloning into "):
                said.append(line)


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield what ends in a line feed, or in a carriage return, as it comes."""
    rest = b""
    while data := os.read(stream.fileno(), 65536):
        *whole, rest = re.split(rb"[\r\n]", rest + data)
        for line in whole:
            yield line.decode("utf-8", errors="replace").rstrip()
    if rest:
        yield rest.decode("utf-8", errors="replace").rstrip()


def local(text: str) -> Path:
    """Return a path as it was typed, ``~`` and ``~name`` being homes.

    Raises:
        CommandFailure: There is no such home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise CommandFailure(f"{text}: there is no such home", status=2) from error
