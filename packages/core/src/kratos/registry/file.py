"""A registry in a directory, for several processes on one machine.

No server is needed: each instance is a file, which its process touches while it lives. A
process that is killed leaves a file that others ignore once its ttl has passed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError, RegistrationLost, RegistryUnavailable
from kratos.limit import Limit
from kratos.registry._file_layout import Entry, entry_path, service_path
from kratos.registry._file_root import Root
from kratos.registry._file_store import Scanner, put, read_entry, take_out, touch
from kratos.registry._instance import ServiceInstance
from kratos.registry._interface import Registration, Registry
from kratos.registry._skips import Skips
from kratos.url import Options, Url
from kratos.watch import Versioned, Watcher
from kratos.watch.directory import DirectoryWatch, DirectoryWatches

__all__ = ["FileRegistry", "from_url"]

_NEVER: Final = float("inf")
_DEFAULT_POLL: Final = 1.0  # seconds


class FileRegistry:
    """Registrar and discovery over a directory; one event loop per object.

    Files are judged by the wall clock of the machine, so machines must not share the directory.

    Args:
        root: The directory, made with mode 0700 if it is missing. Default: ``kratos/registry``
            in the user's runtime directory, or one under the temporary directory, which is
            refused unless it belongs to the user alone.
        ttl: Seconds that a publication outlives its last renewal.
        poll: Look every so many seconds instead of asking the system for changes, for file
            systems that do not tell of them. ``None``: only where there is no other way.
        clock: Time for ttl and polling; its ``wall()`` becomes the time of files.

    Raises:
        ValueError: ``ttl`` or ``poll`` is not positive.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        ttl: float = 15.0,
        poll: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not 0 < ttl < _NEVER:
            raise ValueError(f"ttl must be positive and finite, got {ttl}")
        self._root = Root(root)
        self._ttl = ttl
        self._clock = clock
        self._skips = Skips()
        self._watches = DirectoryWatches(
            clock=clock,
            poll=_DEFAULT_POLL if poll is None else poll,
            always_poll=poll is not None,
        )

    def __str__(self) -> str:
        return str(self._root)

    @property
    def skipped(self) -> int:
        """How many different files could not be decoded so far."""
        return self._skips.count

    async def register(self, instance: ServiceInstance, /) -> Registration:
        """Write the instance's file; one of the same id is replaced in place."""
        instance.check()
        entry = Entry(instance=instance, owner=uuid.uuid4().hex, ttl=self._ttl)
        with self._root.failing_to(f"register {instance}"):
            self._root.prepare(instance.name)
            put(entry_path(self._root.path, instance), entry, clock=self._clock)
        return _Publication(self._root, entry, clock=self._clock, watches=self._watches)

    async def watch(self, name: str, /) -> Watcher[Sequence[ServiceInstance]]:
        """Open a watcher of a service."""
        path = service_path(self._root.path, name)
        scanner = Scanner(path, clock=self._clock, skips=self._skips)
        return _Watcher(self._root, name, scanner, clock=self._clock, watches=self._watches)

    async def aclose(self) -> None:
        """Do nothing: what is open goes with the last watcher and publication."""


class _Publication:
    def __init__(
        self, root: Root, entry: Entry, *, clock: Clock, watches: DirectoryWatches
    ) -> None:
        self._root = root
        self._entry = entry
        self._path = entry_path(root.path, entry.instance)
        self._clock = clock
        self._watches = watches
        self._renewed_at = clock.time()

    @property
    def ttl(self) -> float | None:
        return self._entry.ttl

    async def renew(self) -> None:
        with self._root.failing_to(f"renew {self._entry.instance}"):
            try:
                if self._stands():
                    self._refresh()
                    return
            except FileNotFoundError:
                pass  # removed since the look before
        raise RegistrationLost(f"{self._path} is gone, or belongs to a later registration")

    async def lost(self) -> None:
        try:
            while self._stands():
                watch = self._watches.open(str(self._path.parent))
                try:
                    while watch.alive and self._stands():
                        await watch.wait()
                finally:
                    watch.close()
        except FileNotFoundError:
            return  # the whole directory is gone

    async def withdraw(self) -> None:
        with self._root.failing_to(f"withdraw {self._entry.instance}"):
            take_out(self._path, if_=lambda path: self._owns(read_entry(path)))

    def _refresh(self) -> None:
        now = self._clock.time()
        age = self._clock.wall() - self._path.stat().st_mtime
        if max(age, now - self._renewed_at) < (self._entry.ttl or _NEVER):
            touch(self._path, clock=self._clock)
        else:
            # Nobody hears of a touch; those who have given it up hear of a new file.
            put(self._path, self._entry, clock=self._clock)
        self._renewed_at = now

    def _stands(self) -> bool:
        return self._owns(read_entry(self._path))

    def _owns(self, found: Entry | None) -> bool:
        return found is not None and found.owner == self._entry.owner


class _Watcher:
    def __init__(
        self, root: Root, name: str, scanner: Scanner, *, clock: Clock, watches: DirectoryWatches
    ) -> None:
        self._root = root
        self._name = name
        self._scanner = scanner
        self._clock = clock
        self._watches = watches
        self._watch: DirectoryWatch | None = None
        self._closed = False

    async def read(self) -> Versioned[Sequence[ServiceInstance]]:
        if self._closed:
            raise RegistryUnavailable(f"the watcher of {self._name} is closed")
        with self._root.failing_to(f"read {self._name}"):
            # Heard before read: what changes in between is heard, and read again.
            self._listen()
            instances = tuple(
                entry.instance
                for entry in self._scanner.scan()
                if entry.instance.name == self._name
            )
        return Versioned(value=instances, token=instances)

    async def changed(self, since: object, /) -> Versioned[Sequence[ServiceInstance]] | None:
        while True:
            state = await self.read()
            if state.token != since:
                return state
            await self._wait()

    async def aclose(self) -> None:
        self._closed = True
        if self._watch is not None:
            self._watch.close()

    def _listen(self) -> None:
        directory = self._root.prepare(self._name)
        if self._watch is not None and not self._watch.alive:
            self._watch.close()
            self._watch = None
        if self._watch is None:
            self._watch = self._watches.open(str(directory))

    async def _wait(self) -> None:
        if self._watch is None:
            return
        expires = self._scanner.next_expiry
        limit = Limit(self._clock, None if expires == _NEVER else expires - self._clock.time())
        try:
            async with limit:
                await self._watch.wait()
        except TimeoutError:
            return  # somebody may have expired


def from_url(url: Url) -> FileRegistry:
    """Make the registry of a URL: ``file:///directory[?ttl=15s][&poll=1s]``.

    Without a directory it is the user's default one.

    Raises:
        ConfigError: An option is unknown or wrong, or there is a host.
    """
    options = Options(url)
    ttl = options.duration("ttl", default=15.0)
    poll = options.duration("poll", default=0.0)
    options.finish()
    if url.hosts or url.username is not None:
        raise ConfigError(f"{url}: write file:///directory, with three slashes and no host")
    return FileRegistry(url.path or None, ttl=ttl, poll=poll or None)


if TYPE_CHECKING:
    _registry: type[Registry] = FileRegistry
