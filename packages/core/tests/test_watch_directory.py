from __future__ import annotations

import asyncio
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kratos.testing.clock import FakeClock
from kratos.watch._inotify import Inotify
from kratos.watch.directory import DirectoryWatch, DirectoryWatches

linux = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux")


async def returns(watch: DirectoryWatch) -> None:
    async with asyncio.timeout(5):
        await watch.wait()


async def is_quiet(watch: DirectoryWatch) -> bool:
    """Tell whether nothing is heard although the loop has looked for events."""
    waiting = asyncio.create_task(watch.wait())
    for _ in range(20):
        await asyncio.sleep(0)
    quiet = not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    return quiet


def create(path: Path) -> None:
    (path / "new").write_text("x")


def replace_file(path: Path) -> None:
    (path.parent / "temporary").rename(path / "old")


def remove(path: Path) -> None:
    (path / "old").unlink()


def move_away(path: Path) -> None:
    (path / "old").rename(path.parent / "moved")


def link(path: Path) -> None:
    (path / "link").symlink_to("old")


def make_directory(path: Path) -> None:
    (path / "inner").mkdir()


def delete(path: Path) -> None:
    shutil.rmtree(path)


def rename(path: Path) -> None:
    path.rename(f"{path}2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "watched"
    path.mkdir()
    (path / "old").write_text("x")
    (tmp_path / "temporary").write_text("y")
    return path


@linux
@pytest.mark.parametrize("change", [create, replace_file, remove, move_away, link, make_directory])
async def test_change_of_a_file_is_told(path: Path, change: Callable[[Path], None]) -> None:
    watch = DirectoryWatches().open(str(path))

    change(path)

    await returns(watch)
    assert watch.alive
    watch.close()


@linux
async def test_file_that_is_not_whole_yet_is_not_told(path: Path) -> None:
    watch = DirectoryWatches().open(str(path))
    with (path / "new").open("w") as file:
        file.write("half")
        file.flush()
        assert await is_quiet(watch)
    await returns(watch)
    watch.close()


@linux
async def test_touch_is_not_told(path: Path) -> None:
    watch = DirectoryWatches().open(str(path))

    os.utime(path / "old")

    assert await is_quiet(watch)
    watch.close()


@linux
async def test_change_before_the_wait_is_not_missed(path: Path) -> None:
    watch = DirectoryWatches().open(str(path))
    create(path)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    await returns(watch)

    assert await is_quiet(watch)
    watch.close()


@linux
@pytest.mark.parametrize("end", [delete, rename])
async def test_watch_dies_with_its_directory(path: Path, end: Callable[[Path], None]) -> None:
    watch = DirectoryWatches().open(str(path))

    end(path)
    while watch.alive:
        await returns(watch)

    await returns(watch)
    watch.close()


@linux
async def test_watches_of_one_directory_are_told_alike_and_closed_apart(path: Path) -> None:
    watches = DirectoryWatches()
    one, other = watches.open(str(path)), watches.open(str(path))
    create(path)
    await returns(one)
    await returns(other)

    one.close()
    one.close()
    remove(path)

    await returns(other)
    assert other.alive
    assert not one.alive
    other.close()


@linux
async def test_closing_wakes_who_waits(path: Path) -> None:
    watch = DirectoryWatches().open(str(path))
    waiting = asyncio.create_task(returns(watch))
    await asyncio.sleep(0)

    watch.close()

    await waiting
    assert not watch.alive


@linux
async def test_descriptor_is_open_only_while_there_are_watches(path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    watches = DirectoryWatches()
    one, other = watches.open(str(path)), watches.open(str(path.parent))
    during = descriptors()
    one.close()
    other.close()
    after = descriptors()
    again = watches.open(str(path))
    again.close()

    assert (during, after, descriptors()) == (before + 1, before, before)


@linux
async def test_failed_watch_leaves_no_descriptor(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with pytest.raises(FileNotFoundError):
        DirectoryWatches().open(str(path / "missing"))
    with pytest.raises(NotADirectoryError):
        DirectoryWatches().open(str(path / "old"))

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@linux
async def test_lost_events_make_everybody_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inotify = Inotify()
    one, other = inotify.watch(str(path)), inotify.watch(str(path.parent))
    overflow = struct.pack("iIII", -1, 0x4000, 0, 0)
    unknown = struct.pack("iIII4s", 9999, 0x8, 0, 4, b"x\0\0\0")
    forgotten = struct.pack("iIII", 9999, 0x8000, 0, 0)

    def read(descriptor: int, size: int) -> bytes:
        return unknown + forgotten + overflow

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", read)
        inotify.drain()

    await returns(one)
    await returns(other)
    one.close()
    other.close()


@linux
async def test_draining_without_events_does_nothing(path: Path) -> None:
    inotify = Inotify()
    watch = inotify.watch(str(path))

    inotify.drain()

    assert await is_quiet(watch)
    watch.close()


@linux
async def test_system_that_refuses_inotify_is_an_error_of_the_system(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inotify = Inotify()

    class Refusing:
        def inotify_init1(self, flags: int) -> int:
            return -1

    monkeypatch.setattr(inotify, "_libc", Refusing())

    with pytest.raises(OSError, match="inotify"):
        inotify.watch(str(path))


async def test_polling_returns_at_its_interval(path: Path) -> None:
    clock = FakeClock()
    watch = DirectoryWatches(clock=clock, poll=2.0, always_poll=True).open(str(path))
    waiting = asyncio.create_task(watch.wait())

    await clock.advance(1.9)
    assert not waiting.done()

    await clock.advance(0.1)
    assert waiting.done()
    assert watch.alive


async def test_closing_a_polling_watch_wakes_who_waits(path: Path) -> None:
    clock = FakeClock()
    watch = DirectoryWatches(clock=clock, always_poll=True).open(str(path))
    waiting = asyncio.create_task(watch.wait())
    await clock.settle()

    watch.close()
    await returns(watch)
    await waiting

    assert not watch.alive
    assert clock.sleepers == 0


def test_poll_must_be_positive() -> None:
    with pytest.raises(ValueError, match="poll must be positive"):
        DirectoryWatches(poll=0.0)
