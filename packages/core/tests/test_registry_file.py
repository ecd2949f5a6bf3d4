from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kratos.errors import ConfigError, RegistrationLost, RegistryUnavailable
from kratos.registry import Keeper, Registry, ServiceInstance, from_url, get_service
from kratos.registry._file_layout import entry_path
from kratos.registry._file_root import Root, default_root
from kratos.registry._file_store import read_content, take_out
from kratos.registry.file import FileRegistry
from kratos.testing.clock import FakeClock
from kratos.testing.faults import FaultyRegistry
from kratos.testing.registry_contract import Backend, RegistryContract
from kratos.watch import Versioned, Watcher

ONE = ServiceInstance(id="1", name="orders", version="v1")


class TestFile(RegistryContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        clock = FakeClock()

        def make() -> FileRegistry:
            return FileRegistry(tmp_path / "registry", clock=clock)

        registry = make()
        line = FaultyRegistry(registry, registry)
        return Backend(registry=line, peer=make(), make=make, faults=line, lapse=clock.advance)


class TestPolledFileByUrl(RegistryContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        def make() -> Registry:
            return from_url(f"file://{tmp_path}/registry?poll=5ms")

        registry = make()
        line = FaultyRegistry(registry, registry)
        return Backend(registry=line, peer=make(), make=make, faults=line)


class JumpingClock(FakeClock):
    """A clock whose wall time can be set, as an operator or a time server does."""

    jump = 0.0

    def wall(self) -> float:
        return super().wall() + self.jump


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def registry(root: Path, clock: JumpingClock) -> FileRegistry:
    return FileRegistry(root, clock=clock)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names_under(path: Path) -> list[str]:
    return [found.name for found in path.rglob("*")]


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def newest(
    watcher: Watcher[Sequence[ServiceInstance]], state: Versioned[Sequence[ServiceInstance]]
) -> Versioned[Sequence[ServiceInstance]]:
    async with asyncio.timeout(5):
        return await watcher.changed(state.token) or await watcher.read()


# --- files


async def test_directory_is_for_the_user_alone(root: Path, registry: FileRegistry) -> None:
    await registry.register(ONE)

    assert mode_of(root) == 0o700


async def test_nothing_but_the_entry_is_left_in_the_directory(
    root: Path, registry: FileRegistry
) -> None:
    await registry.register(ONE)
    await registry.register(replace(ONE, version="v2"))

    assert names_under(root) == ["orders", "1.json"]


async def test_instance_put_there_by_hand_is_found(root: Path, registry: FileRegistry) -> None:
    path = entry_path(root, ONE)
    path.parent.mkdir(parents=True)
    path.write_bytes(ONE.to_json())
    os.utime(path, (0, 0))

    assert await get_service(registry, "orders") == (ONE,)


async def test_entry_of_another_service_in_the_directory_is_not_listed(
    root: Path, registry: FileRegistry
) -> None:
    path = entry_path(root, ONE)
    path.parent.mkdir(parents=True)
    path.write_bytes(replace(ONE, name="carts").to_json())

    assert await get_service(registry, "orders") == ()


@pytest.mark.parametrize(
    "content", [b"", b'{"id":"1","na', b"\xff\x00", b"x" * ((1 << 20) + 1)], ids=len
)
async def test_undecodable_file_is_left_out_logged_once_and_counted(
    root: Path, registry: FileRegistry, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    await registry.register(ONE)
    bad = root / "orders" / "bad.json"
    bad.write_bytes(content)

    assert await get_service(registry, "orders") == (ONE,)
    assert await get_service(registry, "orders") == (ONE,)

    assert registry.skipped == 1
    assert [record.getMessage().count(str(bad)) for record in caplog.records] == [1]


async def test_undecodable_file_that_changes_is_logged_again(
    root: Path, registry: FileRegistry
) -> None:
    await registry.register(ONE)
    for content in (b"{", b"{{"):
        (root / "orders" / "bad.json").write_bytes(content)
        await get_service(registry, "orders")

    assert registry.skipped == 2


@pytest.mark.parametrize("kind", ["directory", "pipe", "link"])
async def test_what_is_no_regular_file_is_left_out(
    root: Path, registry: FileRegistry, kind: str
) -> None:
    await registry.register(ONE)
    odd = root / "orders" / "odd.json"
    if kind == "directory":
        odd.mkdir()
    elif kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("1.json")

    assert await get_service(registry, "orders") == (ONE,)
    assert registry.skipped == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names")
@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "link to itself"])
async def test_entry_that_was_replaced_by_no_regular_file_is_lost(
    root: Path, registry: FileRegistry, kind: str
) -> None:
    registration = await registry.register(ONE)
    path = entry_path(root, ONE)
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)

    with pytest.raises(RegistrationLost, match="is gone"):
        await registration.renew()
    await registration.withdraw()


async def test_what_cannot_be_cleared_away_does_not_hide_the_living(
    root: Path, registry: FileRegistry, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registry.register(replace(ONE, id="dead"))
    (root / "orders" / ".abandoned").touch()
    os.utime(root / "orders" / ".abandoned", (clock.wall() - 61, clock.wall() - 61))
    await clock.advance(46)
    await registry.register(ONE)

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, "not yours", str(path))

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)

    assert await get_service(registry, "orders") == (ONE,)


async def test_other_files_are_none_of_its_business(root: Path, registry: FileRegistry) -> None:
    await registry.register(ONE)
    (root / "orders" / "README").write_text("hello")
    (root / "orders" / "1.json~").write_text("hello")

    assert await get_service(registry, "orders") == (ONE,)
    assert registry.skipped == 0


async def test_abandoned_temporary_file_is_cleared_away(
    root: Path, registry: FileRegistry, clock: JumpingClock
) -> None:
    await registry.register(ONE)
    fresh, old = root / "orders" / ".fresh", root / "orders" / ".old"
    for path, age in ((fresh, 59), (old, 61)):
        path.write_bytes(b"")
        os.utime(path, (clock.wall() - age, clock.wall() - age))

    await get_service(registry, "orders")

    assert fresh.exists()
    assert not old.exists()


async def test_failed_write_leaves_no_temporary_file(root: Path, registry: FileRegistry) -> None:
    entry_path(root, ONE).mkdir(parents=True)

    with pytest.raises(RegistryUnavailable, match=r"cannot register orders-1: IsADirectoryError"):
        await registry.register(ONE)

    assert [path.name for path in (root / "orders").iterdir()] == ["1.json"]


# --- time


async def test_file_of_a_dead_process_is_ignored_then_cleared_away(
    root: Path, registry: FileRegistry, clock: JumpingClock
) -> None:
    await registry.register(ONE)
    path = entry_path(root, ONE)

    await clock.advance(15)
    assert await get_service(registry, "orders") == ()
    assert path.exists()

    await clock.advance(31)
    assert await get_service(registry, "orders") == ()
    assert not path.exists()


async def test_ttl_of_an_entry_is_its_writers(root: Path, clock: JumpingClock) -> None:
    writer = FileRegistry(root, ttl=60.0, clock=clock)
    reader = FileRegistry(root, ttl=5.0, clock=clock)
    await writer.register(ONE)

    await clock.advance(59)

    assert await get_service(reader, "orders") == (ONE,)


@pytest.mark.parametrize("jump", [3600.0, -3600.0], ids=["forward", "backward"])
async def test_jump_of_the_wall_clock_does_not_kill_the_living(
    registry: FileRegistry, clock: JumpingClock, jump: float
) -> None:
    registration = await registry.register(ONE)
    watcher = await registry.watch("orders")
    await watcher.read()

    clock.jump = jump
    for _ in range(5):
        await clock.advance(5)
        assert (await watcher.read()).value == (ONE,)
        await registration.renew()

    assert (await watcher.read()).value == (ONE,)
    assert await get_service(registry, "orders") == (ONE,)
    await watcher.aclose()


async def test_jump_of_the_wall_clock_does_not_revive_the_dead(
    registry: FileRegistry, clock: JumpingClock
) -> None:
    await registry.register(ONE)
    watcher = await registry.watch("orders")
    await watcher.read()

    clock.jump = -3600.0
    await clock.advance(15)

    assert (await watcher.read()).value == ()
    await watcher.aclose()


async def test_keeper_converges_after_a_jump(
    registry: FileRegistry, clock: JumpingClock, root: Path
) -> None:
    keeper = Keeper(registry, ONE, clock=clock)
    await keeper.start(require=True)

    clock.jump = 86400.0
    await clock.advance(20)

    assert await get_service(FileRegistry(root, clock=clock), "orders") == (ONE,)
    await keeper.aclose()


async def test_frozen_process_that_wakes_up_is_seen_again(
    registry: FileRegistry, clock: JumpingClock
) -> None:
    registration = await registry.register(ONE)
    watcher = await registry.watch("orders")
    await clock.advance(20)
    state = await watcher.read()
    assert state.value == ()

    await registration.renew()

    assert (await newest(watcher, state)).value == (ONE,)
    await watcher.aclose()


async def test_expiry_is_told_when_it_happens(registry: FileRegistry, clock: JumpingClock) -> None:
    await registry.register(ONE)
    watcher = await registry.watch("orders")
    state = await watcher.read()
    waiting = asyncio.create_task(watcher.changed(state.token))

    await clock.advance(14.9)
    assert not waiting.done()
    await clock.advance(0.2)

    assert waiting.done()
    assert await waiting == Versioned(value=(), token=())
    await watcher.aclose()


# --- two owners of one id


async def test_two_processes_that_share_an_id_leave_one_entry(
    root: Path, clock: JumpingClock
) -> None:
    old = await FileRegistry(root, clock=clock).register(ONE)
    new = await FileRegistry(root, clock=clock).register(replace(ONE, version="v2"))

    with pytest.raises(RegistrationLost, match="belongs to a later registration"):
        await old.renew()
    await old.withdraw()

    (found,) = await get_service(FileRegistry(root, clock=clock), "orders")
    assert found.version == "v2"
    await new.renew()


async def test_loss_to_another_process_is_told(root: Path, clock: JumpingClock) -> None:
    old = await FileRegistry(root, clock=clock).register(ONE)
    losing = asyncio.create_task(old.lost())
    await asyncio.sleep(0)

    await FileRegistry(root, clock=clock).register(ONE)

    async with asyncio.timeout(5):
        await losing


async def test_removed_file_is_told_as_a_loss(root: Path, registry: FileRegistry) -> None:
    registration = await registry.register(ONE)
    losing = asyncio.create_task(registration.lost())
    await asyncio.sleep(0)

    entry_path(root, ONE).unlink()

    async with asyncio.timeout(5):
        await losing
    with pytest.raises(RegistrationLost, match="is gone"):
        await registration.renew()


def test_file_that_is_replaced_while_it_is_removed_goes_back(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    path.write_text("old")
    asked: list[str] = []

    def is_old(file: Path) -> bool:
        asked.append(file.read_text())
        if len(asked) == 1:
            path.write_text("new")  # another process, between the look and the removal
            return True
        return asked[-1] == "old"

    take_out(path, if_=is_old)

    assert asked == ["old", "new"]
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["1.json"]


def test_file_that_goes_back_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    path = tmp_path / "1.json"
    path.write_text("old")
    asked: list[str] = []

    def is_old(file: Path) -> bool:
        asked.append(file.read_text())
        if len(asked) == 2:
            path.write_text("newest")
        return len(asked) == 1

    take_out(path, if_=is_old)

    assert path.read_text() == "newest"
    assert [file.name for file in tmp_path.iterdir()] == ["1.json"]


# --- the directory


async def test_directory_that_is_deleted_while_watched_is_made_and_watched_again(
    root: Path, registry: FileRegistry
) -> None:
    await registry.register(ONE)
    watcher = await registry.watch("orders")
    state = await watcher.read()

    shutil.rmtree(root)
    state = await newest(watcher, state)
    assert state.value == ()

    await registry.register(ONE)
    assert (await newest(watcher, state)).value == (ONE,)
    await watcher.aclose()


async def test_directory_that_is_renamed_is_made_and_watched_again(
    root: Path, registry: FileRegistry
) -> None:
    await registry.register(ONE)
    watcher = await registry.watch("orders")
    state = await watcher.read()

    (root / "orders").rename(root / "moved")
    state = await newest(watcher, state)
    assert state.value == ()

    await registry.register(ONE)
    assert (await newest(watcher, state)).value == (ONE,)
    await watcher.aclose()


async def test_registration_in_a_deleted_directory_is_lost(
    root: Path, registry: FileRegistry
) -> None:
    registration = await registry.register(ONE)
    losing = asyncio.create_task(registration.lost())
    await asyncio.sleep(0)

    shutil.rmtree(root / "orders")

    async with asyncio.timeout(5):
        await losing
    with pytest.raises(RegistrationLost):
        await registration.renew()
    await registration.withdraw()


async def test_root_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    registry = FileRegistry(path)

    with pytest.raises(RegistryUnavailable, match=r"file://.* cannot register orders-1"):
        await registry.register(ONE)
    with pytest.raises(RegistryUnavailable, match="cannot read orders"):
        await get_service(registry, "orders")


@pytest.mark.parametrize("watches", ["none", "exhausted"])
async def test_system_without_watches_left_is_polled(
    root: Path, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch, watches: str
) -> None:
    registry = FileRegistry(root, clock=clock)
    if watches == "exhausted":

        def refuse(self: object, path: str) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

        monkeypatch.setattr("kratos.watch._inotify.Inotify.watch", refuse)
    else:
        monkeypatch.setattr(sys, "platform", "other")
        registry = FileRegistry(root, clock=clock)
    watcher = await registry.watch("orders")
    state = await watcher.read()
    waiting = asyncio.create_task(watcher.changed(state.token))
    await clock.settle()
    await registry.register(ONE)

    await clock.advance(0.9)
    assert not waiting.done()
    await clock.advance(0.2)

    assert waiting.done()
    await watcher.aclose()


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
async def test_watchers_leave_no_descriptor_open(registry: FileRegistry) -> None:
    before = descriptors()
    watchers = [await registry.watch(name) for name in ("a", "b", "a")]
    for watcher in watchers:
        await watcher.read()

    for watcher in watchers:
        await watcher.aclose()

    assert descriptors() == before


async def test_file_that_vanishes_during_a_renewal_is_lost(
    registry: FileRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registration = await registry.register(ONE)

    def vanish(path: Path, *, clock: object) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr("kratos.registry.file.touch", vanish)

    with pytest.raises(RegistrationLost, match="is gone"):
        await registration.renew()


async def test_directory_that_vanishes_before_it_is_watched_is_a_loss(
    root: Path, registry: FileRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registration = await registry.register(ONE)

    def vanish(self: object, path: str) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr("kratos.watch.directory.DirectoryWatches.open", vanish)

    async with asyncio.timeout(5):
        await registration.lost()


async def test_file_that_vanishes_while_it_is_read_is_not_there(
    registry: FileRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registry.register(ONE)
    await registry.register(replace(ONE, id="2"))

    def vanish(path: Path) -> bytes:
        if path.name == "1.json":
            raise FileNotFoundError(path)
        return read_content(path)

    monkeypatch.setattr("kratos.registry._file_store.read_content", vanish)

    assert [instance.id for instance in await get_service(registry, "orders")] == ["2"]
    assert registry.skipped == 0


# --- the default directory


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/kratos/registry"),
        ({"XDG_RUNTIME_DIR": "relative"}, "/tmp/kratos-7/registry"),
        ({"XDG_RUNTIME_DIR": ""}, "/tmp/kratos-7/registry"),
        ({}, "/tmp/kratos-7/registry"),
    ],
)
def test_default_directory_is_the_users(environ: dict[str, str], expected: str) -> None:
    assert default_root(environ, user=7, temporary="/tmp") == Path(expected)


async def test_default_directory_is_made_for_the_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: JumpingClock
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    registry = FileRegistry(clock=clock)

    await registry.register(ONE)

    assert str(registry) == f"file://{tmp_path}/kratos/registry"
    assert mode_of(tmp_path / "kratos") == 0o700
    assert await get_service(from_url("file://"), "orders") == ()  # expired: another clock


@pytest.mark.parametrize("trap", ["link", "open", "file"])
async def test_default_directory_that_others_could_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    kratos, elsewhere = tmp_path / "kratos", tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if trap == "link":
        kratos.symlink_to(elsewhere)
    elif trap == "open":
        kratos.mkdir()
        kratos.chmod(0o777)
    else:
        kratos.write_text("")

    with pytest.raises(RegistryUnavailable, match=r"only this user can write to|FileExistsError"):
        await FileRegistry().register(ONE)


async def test_default_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    root = Root(None)
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    with pytest.raises(RegistryUnavailable, match="only this user"):
        root.prepare("orders")


# --- options


def test_url_gives_directory_and_options(tmp_path: Path) -> None:
    registry = from_url(f"file://{tmp_path}/a%20b?ttl=500ms&poll=1s")

    assert str(registry) == f"file://{tmp_path}/a b"


async def test_ttl_of_the_url_is_the_publications(tmp_path: Path) -> None:
    registration = await from_url(f"file://{tmp_path}?ttl=1m30s").register(ONE)

    assert registration.ttl == 90.0


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("file://relative/path", "three slashes"),
        ("file://user@/path", "three slashes"),
        ("file:///p?tll=1s", "unknown option 'tll'"),
        ("file:///p?ttl=0", "ttl must be positive"),
        ("file:///p?ttl=x", "'ttl' must be a duration"),
    ],
)
def test_wrong_url_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        from_url(url)


@pytest.mark.parametrize("ttl", [0.0, -1.0, float("inf"), float("nan")])
def test_ttl_must_be_positive_and_finite(tmp_path: Path, ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl must be"):
        FileRegistry(tmp_path, ttl=ttl)


def test_poll_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="poll must be positive"):
        FileRegistry(tmp_path, poll=0.0)


async def test_instance_without_identity_is_refused(registry: FileRegistry) -> None:
    with pytest.raises(ValueError, match="needs an id and a name"):
        await registry.register(ServiceInstance(id="", name="orders"))


# --- processes

PROGRAM = """
import asyncio, sys
from kratos.registry import Keeper, ServiceInstance
from kratos.registry.file import FileRegistry

async def main():
    registry = FileRegistry(sys.argv[1], ttl=float(sys.argv[2]))
    instance = ServiceInstance(id="1", name="orders", version=sys.argv[3])
    keeper = Keeper(registry, instance)
    await keeper.start(require=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await keeper.aclose()

asyncio.run(main())
"""


async def start(root: Path, *, ttl: float, version: str = "v1") -> asyncio.subprocess.Process:
    """Start a process that keeps an instance registered until its input ends."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(root), str(ttl), version, stdin=asyncio.subprocess.PIPE
    )


async def see(root: Path, *versions: str) -> None:
    """Return when exactly these versions are registered."""
    watcher = await FileRegistry(root).watch("orders")
    try:
        async with asyncio.timeout(15):
            state = await watcher.read()
            while tuple(instance.version for instance in state.value) != versions:
                state = await watcher.changed(state.token) or await watcher.read()
    finally:
        await watcher.aclose()


@pytest.mark.slow
async def test_instance_of_another_process_is_seen_until_it_leaves(root: Path) -> None:
    process = await start(root, ttl=15.0)
    await see(root, "v1")

    await process.communicate(b"\n")

    await see(root)
    assert process.returncode == 0


@pytest.mark.slow
async def test_instance_of_a_killed_process_expires(root: Path) -> None:
    process = await start(root, ttl=0.5)
    await see(root, "v1")

    process.kill()
    await process.communicate()

    await see(root)


@pytest.mark.slow
async def test_successor_of_a_killed_process_takes_its_id_over(root: Path) -> None:
    first = await start(root, ttl=15.0)
    await see(root, "v1")
    first.kill()
    await first.communicate()

    second = await start(root, ttl=15.0, version="v2")
    await see(root, "v2")

    await second.communicate(b"\n")
    await see(root)
