from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from kratos.config import FileSource, KeyValue
from kratos.config.config import read
from kratos.errors import ConfigError
from kratos.testing.clock import FakeClock, InstantClock
from kratos.watch import Versioned, Watcher
from kratos.watch.directory import DirectoryWatch, DirectoryWatches


async def shown(source: FileSource) -> list[tuple[str, str, bytes]]:
    return [(entry.key, entry.format, entry.value) for entry in await read(source)]


class Following:
    """A watcher that was read once, and what it says next."""

    def __init__(self, watcher: Watcher[Sequence[KeyValue]]) -> None:
        self.watcher = watcher
        self.token: object = None

    async def begin(self) -> None:
        self.token = (await self.watcher.read()).token

    async def next(self) -> list[tuple[str, bytes]]:
        async with asyncio.timeout(10):
            state = await self.watcher.changed(self.token)
        assert isinstance(state, Versioned)
        self.token = state.token
        return [(entry.key, entry.value) for entry in state.value]


@pytest.fixture
async def following(tmp_path: Path) -> AsyncIterator[Following]:
    (tmp_path / "app.yaml").write_text("a: 1")
    found = Following(await FileSource(tmp_path, clock=InstantClock()).watch())
    await found.begin()
    yield found
    await found.watcher.aclose()


async def follow(path: Path) -> Following:
    found = Following(await FileSource(path, clock=InstantClock()).watch())
    await found.begin()
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a", ""), ("a.", ""), ("a.b", "b"), (".b", "b"), ("a.b.c", "c"), (".env", "env")],
)
async def test_ending_of_the_name_is_the_format(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / name).write_text("x")
    assert await shown(FileSource(tmp_path / name)) == [(name, expected, b"x")]


async def test_given_format_goes_before_the_ending(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("x")
    source = FileSource(tmp_path / "a.conf", format="yaml")
    assert await shown(source) == [("a.conf", "yaml", b"x")]


async def test_files_of_a_directory_come_by_name_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.json", "a.yaml", ".hidden.yaml"):
        (tmp_path / name).write_text(name)
    (tmp_path / "inner.yaml").mkdir()
    assert [name for name, _, _ in await shown(FileSource(tmp_path))] == ["a.yaml", "b.json"]


async def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: it cannot be read: No such file"):
        await FileSource(tmp_path / "nowhere").watch()


async def test_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match=r"loop\.yaml: it cannot be read"):
        await read(FileSource(tmp_path))


async def test_file_too_large_to_be_a_configuration_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    with pytest.raises(ConfigError, match="which is no configuration"):
        await read(FileSource(tmp_path))


async def test_files_too_large_together_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(9 * 1024 * 1024)
    with pytest.raises(ConfigError, match=r"b\.yaml: with it there are more than 16777216 bytes"):
        await read(FileSource(tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
@pytest.mark.parametrize("alone", [True, False])
async def test_pipe_is_refused_and_not_waited_for(tmp_path: Path, alone: bool) -> None:
    pipe = tmp_path / "app.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match=r"app\.yaml: it is no regular file"):
        await read(FileSource(pipe if alone else tmp_path))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="the system has no such device")
async def test_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/dev/zero: it is no regular file"):
        await read(FileSource("/dev/zero"))
    (tmp_path / "app.yaml").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=r"app\.yaml: it is no regular file"):
        await read(FileSource(tmp_path))


async def test_file_that_must_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.yaml").write_text("a: 1")

    def refuse(_path: object, _flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ConfigError, match=r"app\.yaml: it cannot be read: Permission denied"):
        await read(FileSource(tmp_path))


async def test_optional_path_may_come_go_and_come_again(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    source = FileSource(folder, optional=True, clock=InstantClock())
    assert await shown(source) == []
    following = Following(await source.watch())
    await following.begin()
    for _ in range(2):
        folder.mkdir(parents=True)
        (folder / "app.yaml").write_text("a: 1")
        assert await following.next() == [("app.yaml", b"a: 1")]
        shutil.rmtree(tmp_path / "a")
        assert await following.next() == []
    await following.watcher.aclose()


async def test_file_that_goes_and_comes_again_is_followed(tmp_path: Path) -> None:
    clock = FakeClock()
    path = tmp_path / "configs" / "app.yaml"
    path.parent.mkdir()
    path.write_text("a: 1")
    watcher = await FileSource(path, clock=clock, poll=1.0).watch()
    state = await watcher.read()
    waiting = asyncio.create_task(watcher.changed(state.token))
    shutil.rmtree(path.parent)
    await clock.advance(9.0)
    path.parent.mkdir()
    path.write_text("a: 2")
    await clock.advance(2.0)
    found = await waiting
    assert found is not None
    assert [entry.value for entry in found.value] == [b"a: 2"]
    path.unlink()
    waiting = asyncio.create_task(watcher.changed(found.token))
    await clock.advance(12.0)
    with pytest.raises(ConfigError, match=r"app\.yaml: it cannot be read: No such file"):
        await waiting
    await watcher.aclose()


async def test_link_to_a_directory_is_followed_when_it_turns_over(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "app.yaml").write_text(f"a: {release}")
    (tmp_path / "current").symlink_to("1")
    following = await follow(tmp_path / "current")
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").replace(tmp_path / "current")
    assert await following.next() == [("app.yaml", b"a: 2")]
    (tmp_path / "2" / "app.yaml").write_text("a: 3")
    assert await following.next() == [("app.yaml", b"a: 3")]
    await following.watcher.aclose()


async def test_volume_of_kubernetes_is_followed_turn_after_turn_without_an_error(
    tmp_path: Path,
) -> None:
    def turn(revision: int) -> None:
        (tmp_path / f"..{revision}").mkdir()
        (tmp_path / f"..{revision}" / "app.yaml").write_text(f"a: {revision}")
        (tmp_path / "..new").symlink_to(f"..{revision}")
        (tmp_path / "..new").replace(tmp_path / "..data")
        if revision:
            shutil.rmtree(tmp_path / f"..{revision - 1}")

    turn(0)
    path = tmp_path / "app.yaml"
    path.symlink_to(Path("..data") / "app.yaml")
    following = await follow(path)
    for revision in range(1, 4):
        turn(revision)
        assert await following.next() == [("app.yaml", f"a: {revision}".encode())]
    await following.watcher.aclose()


async def test_nothing_is_left_open_when_a_second_directory_cannot_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "app.yaml").write_text("a: 1")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real" / "app.yaml")
    opened: list[DirectoryWatch] = []

    def once(self: DirectoryWatches, path: str) -> DirectoryWatch:
        if opened:
            raise PermissionError(errno.EACCES, "Permission denied")
        opened.append(original(self, path))
        return opened[0]

    original = DirectoryWatches.open
    monkeypatch.setattr(DirectoryWatches, "open", once)
    with pytest.raises(ConfigError, match=r"link\.yaml: it cannot be read: Permission denied"):
        await FileSource(tmp_path / "link.yaml").watch()
    assert not opened[0].alive


async def test_written_file_is_heard_of(following: Following, tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("a: 2")
    assert await following.next() == [("app.yaml", b"a: 2")]


async def test_new_and_removed_files_are_heard_of(following: Following, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("b: 1")
    assert [name for name, _ in await following.next()] == ["app.yaml", "more.yaml"]
    (tmp_path / "app.yaml").unlink()
    assert [name for name, _ in await following.next()] == ["more.yaml"]


async def test_file_put_in_place_as_a_whole_is_heard_of(tmp_path: Path) -> None:
    path = tmp_path / "app.yaml"
    path.write_text("a: 1")
    following = await follow(path)
    (tmp_path / "new").write_text("a: 2")
    (tmp_path / "new").replace(path)
    assert await following.next() == [("app.yaml", b"a: 2")]
    await following.watcher.aclose()


async def test_volume_of_kubernetes_is_heard_of_when_it_turns_over(tmp_path: Path) -> None:
    for revision in ("1", "2"):
        (tmp_path / f"..{revision}").mkdir()
        (tmp_path / f"..{revision}" / "app.yaml").write_text(f"a: {revision}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "app.yaml").symlink_to(Path("..data") / "app.yaml")
    for path in (tmp_path / "app.yaml", tmp_path):
        following = await follow(path)
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").replace(tmp_path / "..data")
        assert await following.next() == [("app.yaml", b"a: 2")]
        await following.watcher.aclose()
        (tmp_path / "..data").unlink()
        (tmp_path / "..data").symlink_to("..1")


async def test_file_that_a_link_leads_to_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "app.yaml").write_text("a: 1")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real" / "app.yaml")
    following = await follow(tmp_path / "link.yaml")
    (tmp_path / "real" / "app.yaml").write_text("a: 2")
    assert await following.next() == [("link.yaml", b"a: 2")]
    await following.watcher.aclose()


async def test_files_that_links_of_a_directory_lead_to_are_followed(tmp_path: Path) -> None:
    for name in ("one", "two", "configs"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        (tmp_path / name / "app.yaml").write_text("a: 1")
        (tmp_path / "configs" / f"{name}.yaml").symlink_to(tmp_path / name / "app.yaml")
    following = await follow(tmp_path / "configs")
    (tmp_path / "two" / "app.yaml").write_text("a: 2")
    assert await following.next() == [("one.yaml", b"a: 1"), ("two.yaml", b"a: 2")]
    (tmp_path / "configs" / "one.yaml").unlink()
    assert await following.next() == [("two.yaml", b"a: 2")]
    await following.watcher.aclose()


async def test_touched_file_of_the_same_content_is_no_change(
    following: Following, tmp_path: Path
) -> None:
    os.utime(tmp_path / "app.yaml")
    (tmp_path / "app.yaml").write_text("a: 1")
    (tmp_path / "zz.yaml").write_text("b: 1")
    assert [name for name, _ in await following.next()] == ["app.yaml", "zz.yaml"]


async def test_directory_that_goes_away_is_told(tmp_path: Path) -> None:
    directory = tmp_path / "configs"
    directory.mkdir()
    following = await follow(directory)
    directory.rmdir()
    with pytest.raises(ConfigError, match="configs: "):
        await following.next()
    await following.watcher.aclose()


async def test_closing_ends_a_pending_wait(following: Following) -> None:
    waiting = asyncio.create_task(following.watcher.changed(following.token))
    await asyncio.sleep(0)
    await following.watcher.aclose()
    with pytest.raises(ConfigError):
        await waiting
