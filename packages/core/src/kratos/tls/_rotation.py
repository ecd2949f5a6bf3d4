"""What is made of certificate files, and made again when they change."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Generic, TypeVar

from kratos.clock import SYSTEM_CLOCK, Clock
from kratos.errors import ConfigError
from kratos.limit import Limit
from kratos.tls._names import ServerNames
from kratos.tls._options import ClientTls, ServerTls
from kratos.tls._pem import Pem, Stamp, is_content, leaf_of, name_of, read, require_key, stamp_of
from kratos.tls._trial import Trial, tried
from kratos.watch.directory import DirectoryWatches

__all__ = ["Material", "Rotation"]

T = TypeVar("T")

_log = logging.getLogger("kratos.tls")

_SETTLE: Final = 0.5  # seconds for the other files of a set to be written
_LOOK_EVERY: Final = 10.0  # seconds; links may lead to where no change is heard
_LOOK_AT_MOST_EVERY: Final = 0.2  # seconds; a look costs as much as there are files


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
        names: DNS names among the subject alternative names of one's own certificate.
        name: How to call one's own certificate in errors.
        others: Further certificates of a server, each with the same roots.
    """

    certificate: bytes | None = None
    key: bytes | None = None
    password: str = field(default="", repr=False)
    roots: bytes | None = None
    verify: bool = True
    expires: float | None = None
    names: tuple[str, ...] = ()
    name: str = "the certificate"
    others: tuple[Material, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    """A certificate, and its key if that is not in the same file.

    Attributes:
        where: Which of several it is, as errors say it where there is no path.
    """

    certificate: Pem
    key: Pem | None
    where: str = ""

    def pems(self) -> list[tuple[Pem, str]]:
        """Return each PEM, and what it is."""
        every = ((self.certificate, "certificate"), (self.key, "key"))
        return [(pem, self._what(pem, what)) for pem, what in every if pem is not None]

    def _what(self, pem: Pem, what: str) -> str:
        return what + self.where if is_content(pem) else what


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
        self._trials: Mapping[bytes, Trial] = {}  # by what they are of, as a digest
        self.revision = 0
        self.value, self._expires = self._made()
        self._looked = clock.time()

    @property
    def expires(self) -> float | None:
        """When the first of one's own certificates does, in seconds since the epoch."""
        return self._expires

    def current(self) -> T:
        """Return the newest good value; looks for changed files a few times a second at most.

        For each of many connections, where there are so many files that a look at them costs more
        than a change that is taken up a moment later. What was no good is not tried again for each
        connection either.
        """
        now = self._clock.time()
        if now - self._looked < _LOOK_AT_MOST_EVERY:
            return self.value
        self._looked = now
        return self.refresh()

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
        _log.info("read again: %s", self._changed(stamps))
        self._stamps = stamps
        self._failure = ""
        self.revision += 1
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
        """Return each PEM, and what it is."""
        roots, what = self._roots()
        own = [pem for pair in self._pairs() for pem in pair.pems()]
        return own if roots is None else [*own, (roots, what)]

    def _roots(self) -> tuple[Pem | None, str]:
        tls = self._tls
        return (tls.client_ca, "client_ca") if isinstance(tls, ServerTls) else (tls.ca, "ca")

    def _pairs(self) -> list[_Pair]:
        """Return one's own certificates, the main one first."""
        tls = self._tls
        if tls.certificate is None:
            return []
        others = tls.others if isinstance(tls, ServerTls) else ()
        further = (
            _Pair(each.certificate, each.key, f" of others[{index}]")
            for index, each in enumerate(others)
        )
        return [_Pair(tls.certificate, tls.key), *further]

    def _look(self) -> list[Stamp]:
        """Return what changes with the files."""
        return [stamp_of(pem, what) for pem, what in self._pems()]

    def _made(self) -> tuple[T, float | None]:
        trusted = Material(roots=self._read_roots(), verify=self._verifies())
        trials: dict[bytes, Trial] = {}
        own = [self._read_pair(pair, trusted, trials) for pair in self._pairs()]
        _require_reached(own)
        material = replace(own[0], others=tuple(own[1:])) if own else trusted
        value = self._make(material)
        self._trials = trials
        for each in own:
            self._note_age(each)
        return value, min((trial.end for trial in trials.values()), default=None)

    def _note_age(self, own: Material) -> None:
        """Log that a certificate has expired in use: that does not keep others from renewal."""
        assert own.expires is not None, "a pair was read"
        if self._clock.wall() > own.expires:
            _log.warning("%s has expired, and stays in use", own.name)

    def _verifies(self) -> bool:
        return isinstance(self._tls, ServerTls) or self._tls.verify

    def _read_roots(self) -> bytes | None:
        pem, what = self._roots()
        if pem is None:
            return None
        roots = read(pem, what)
        leaf_of(roots, name_of(pem, what))
        return roots

    def _read_pair(self, pair: _Pair, trusted: Material, trials: dict[bytes, Trial]) -> Material:
        """Return a pair that was found good, and note its trial."""
        contents = [(read(pem, what), name_of(pem, what)) for pem, what in pair.pems()]
        (certificate, name), (key, name_of_key) = contents[0], contents[-1]
        password = (isinstance(self._tls, ClientTls) and self._tls.password) or ""
        leaf_of(certificate, name)
        require_key(key, name_of_key, password=bool(password))
        digest = hashlib.sha256(certificate + b"\0" + key).digest()
        trial = self._trials.get(digest)
        if trial is None:
            client = isinstance(self._tls, ClientTls)
            trial = tried(certificate, key, name, client=client, password=password)
            trial.require(self._clock.wall(), name)
        trials[digest] = trial
        return replace(
            trusted,
            certificate=certificate,
            key=key,
            password=password,
            expires=trial.end,
            names=trial.names,
            name=name,
        )

    def _changed(self, stamps: Sequence[Stamp]) -> str:
        """Return the names of what is not as it was."""
        every = zip(self._pems(), self._stamps, stamps, strict=True)
        return " and ".join(name_of(pem, what) for (pem, what), old, new in every if old != new)


def _require_reached(own: Sequence[Material]) -> None:
    """Refuse a further certificate that no client can ask for.

    Raises:
        ConfigError: It has no name, or those before it have all of its names.
    """
    names = ServerNames(each.names for each in own)
    reached = names.reached()
    for position, each in enumerate(own):
        if position == 0 or position in reached:
            continue
        owner = names.owner(each.names)
        if owner is None:
            raise ConfigError(
                f"{each.name} has no DNS name among its subject alternative names, so no client "
                "would get it"
            )
        raise ConfigError(
            f"{each.name} has only names of certificates before it, such as {own[owner].name}, so "
            "no client would get it: leave it out"
        )
