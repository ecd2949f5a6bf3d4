"""What is made of certificate files, and made again when they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Generic, TypeVar

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.limit import Limit
from kratos.tls._options import ClientTls, ServerTls
from kratos.tls._pem import Pem, Stamp, leaf_of, name_of, read, require_key, stamp_of
from kratos.tls._trial import tried
from kratos.watch.directory import DirectoryWatches

__all__ = ["Material", "Rotation"]

T = TypeVar("T")

_log = logging.getLogger("kratos.tls")

_SETTLE: Final = 0.5  # seconds for the other files of a set to be written
_LOOK_EVERY: Final = 10.0  # seconds; links may lead to where no change is heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Certificates and a key that were read together and found good.

    Attributes:
        certificate: PEM of one's own certificate and those between it and its root.
        key: PEM of its key.
        password: Of the key.
        roots: PEM of the roots of peers' certificates.
        verify: Whether peers are held to the roots.
        expires: When one's own certificate does, in seconds since the epoch.
    """

    certificate: bytes | None = None
    key: bytes | None = None
    password: str = field(default="", repr=False)
    roots: bytes | None = None
    verify: bool = True
    expires: float | None = None


class Rotation(Generic[T]):
    """A value made of the files of a ``ServerTls`` or ``ClientTls``, such as a TLS context.

    Either let ``watch`` run, or call ``refresh`` before each use; ``refresh`` may be called from
    another thread if nothing else calls it.

    Args:
        tls: Where certificates are.
        make: Makes the value; raises ``ConfigError`` for what it cannot use.
        clock: Time for waits, and the date that certificates are held to.
        watches: Hears of changed files.

    Attributes:
        value: The newest value that could be made.
        revision: How often it was made anew.

    Raises:
        ConfigError: The first value cannot be made; names the file and says why.
    """

    def __init__(
        self,
        tls: ServerTls | ClientTls,
        make: Callable[[Material], T],
        /,
        *,
        clock: Clock = SYSTEM_CLOCK,
        watches: DirectoryWatches | None = None,
    ) -> None:
        self._tls = tls
        self._make = make
        self._clock = clock
        self._watches = watches or DirectoryWatches(clock=clock, poll=_LOOK_EVERY)
        self._stamps = self._look()
        self._failure = ""
        self.revision = 0
        self.value, self._expires = self._made()

    @property
    def expires(self) -> float | None:
        """When one's own certificate does, in seconds since the epoch."""
        return self._expires

    def refresh(self) -> T:
        """Make the value anew if a file has changed, and return the newest good one.

        Why it could not be made is logged, once for each reason.
        """
        if not self._tls.watch:
            return self.value
        try:
            stamps = self._look()
            if stamps == self._stamps:
                self._failure = ""
                return self.value
            self.value, self._expires = self._made()
        except ConfigError as error:
            if str(error) != self._failure:
                self._failure = str(error)
                _log.warning("the last good certificate stays in use: %s", error)
            return self.value
        self._stamps = stamps
        self._failure = ""
        self.revision += 1
        _log.info("read again: %s", self._name())
        return self.value

    async def watch(self) -> None:
        """Refresh the value whenever a file changes.

        Cancellation: the normal end.
        """
        folders = {Path(pem).parent for pem, _ in self._pems() if not isinstance(pem, bytes)}
        if not folders or not self._tls.watch:
            return
        async with asyncio.TaskGroup() as group:
            for folder in sorted(folders):
                group.create_task(self._follow(folder), name=f"kratos-tls {folder}")

    async def _follow(self, folder: Path) -> None:
        while True:
            try:
                watch = self._watches.open(str(folder))
            except OSError:
                await self._clock.sleep(_LOOK_EVERY)  # the folder is gone, and may come back
                self.refresh()
                continue
            try:
                while watch.alive:
                    limit = Limit(self._clock, _LOOK_EVERY)
                    try:
                        async with limit:
                            await watch.wait()
                    except TimeoutError:
                        pass  # look, though nothing was heard
                    else:
                        await self._clock.sleep(_SETTLE)
                    self.refresh()
            finally:
                watch.close()

    def _pems(self) -> list[tuple[Pem, str]]:
        tls = self._tls
        roots, what = (tls.client_ca, "client_ca") if isinstance(tls, ServerTls) else (tls.ca, "ca")
        every = ((tls.certificate, "certificate"), (tls.key, "key"), (roots, what))
        return [(pem, name) for pem, name in every if pem is not None]

    def _look(self) -> list[Stamp]:
        """Return what changes with the files."""
        return [stamp_of(pem, what) for pem, what in self._pems()]

    def _made(self) -> tuple[T, float | None]:
        material = self._read()
        return self._make(material), material.expires

    def _read(self) -> Material:
        tls = self._tls
        contents = {what: read(pem, what) for pem, what in self._pems()}
        names = {what: name_of(pem, what) for pem, what in self._pems()}
        roots = next((what for what in ("client_ca", "ca") if what in contents), None)
        if roots is not None:
            leaf_of(contents[roots], names[roots])
        trusted = Material(
            roots=contents[roots] if roots else None,
            verify=isinstance(tls, ServerTls) or tls.verify,
        )
        if "certificate" not in contents:
            return trusted
        where = "key" if "key" in contents else "certificate"
        certificate, key, name = contents["certificate"], contents[where], names["certificate"]
        password = (isinstance(tls, ClientTls) and tls.password) or ""
        leaf_of(certificate, name)
        require_key(key, names[where], password=bool(password))
        client = isinstance(tls, ClientTls)
        validity = tried(certificate, key, name, client=client, password=password)
        validity.require(self._clock.wall(), name)
        return replace(
            trusted, certificate=certificate, key=key, password=password, expires=validity.end
        )

    def _name(self) -> str:
        return " and ".join(name_of(pem, what) for pem, what in self._pems())
